/** The version of the wire protocol: the second level of every topic, a field of every message and frame. */

/** Raised when an older peer could misread what a newer one sends; unknown fields alone never raise it. */
export const PROTOCOL_VERSION = 1;
