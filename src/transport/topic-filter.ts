/** MQTT topic filters: does a filter match a topic, and can two filters match the same topic. */

/** MQTT 3.1.1, section 4.7: `+` matches one level, a trailing `#` the rest; neither starts a match of `$` topics. */
export function filterMatches(filter: string, topic: string): boolean {
  const wanted = filter.split("/");
  const levels = topic.split("/");
  if (topic.startsWith("$") && (wanted[0] === "+" || wanted[0] === "#")) return false;
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === "#") return true;
    if (i >= levels.length || (wanted[i] !== "+" && wanted[i] !== levels[i])) return false;
  }
  return wanted.length === levels.length;
}

/** Syntax of a filter: wildcards stand alone in their level, `#` only in the last one. */
export function isTopicFilter(filter: string): boolean {
  const levels = filter.split("/");
  return (
    filter !== "" &&
    levels.every((level, i) => {
      if (level === "#") return i === levels.length - 1;
      return level === "+" || !/[+#\0]/.test(level);
    })
  );
}

/** True when some topic matches both filters. */
export function filtersOverlap(a: string, b: string): boolean {
  const left = a.split("/");
  const right = b.split("/");
  for (let i = 0; i < left.length && i < right.length; i++) {
    if (left[i] === "#" || right[i] === "#") return true;
    if (left[i] !== right[i] && left[i] !== "+" && right[i] !== "+") return false;
  }
  if (left.length === right.length) return true;
  const longer = left.length > right.length ? left : right;
  return longer.length === Math.min(left.length, right.length) + 1 && longer.at(-1) === "#";
}
