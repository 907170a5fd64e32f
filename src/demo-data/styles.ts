/** Ways of writing an event down, with neutral words around it and the slips of people who type. */
import type { Style, StyleName } from "./tables.ts";

export const STYLES: Readonly<Record<StyleName, Style>> = {
  syslog: {
    openings: ["{time} {node} eventd: ", "{node} gatewayd {code}: ", "{time} supervisor: "],
    closings: ["", "", "", " (code {code})", "; other inputs normal"],
    isTyped: false,
  },
  alarm: {
    openings: ["EVENT {code} {place}: ", "{node} message {code}: ", "{place}, {time}: "],
    closings: [
      "",
      "",
      "",
      ", acknowledged by {colleague}",
      ", priority to be set",
      ". Fans, doors and supply otherwise normal",
    ],
    isTyped: false,
  },
  note: {
    openings: [
      "{person} at {place}: ",
      "note of {person}, {time}: ",
      "was on site {time}, ",
      "for the {time} shift: ",
      "{person} called at {time}, ",
    ],
    closings: [
      "",
      "",
      "",
      ", photos are in the ticket",
      ". Told {colleague}",
      ". Rest of the site looks fine",
      ". Network and power otherwise good",
    ],
    isTyped: true,
  },
};

/** Short forms that technicians use. */
export const ABBREVIATIONS: Readonly<Record<string, string>> = {
  temperature: "temp",
  firmware: "fw",
  maintenance: "maint",
  technician: "tech",
  connection: "conn",
  replaced: "repl",
  minutes: "min",
  degrees: "deg",
  reference: "ref",
  calibrated: "calib",
  certificate: "cert",
  password: "pwd",
};

/** Words that decide the class by order, negation or state: never misspelt. */
export const DECIDING_WORDS: ReadonlySet<string> = new Set(
  (
    "before after because earlier later first then found confirmed excluded although instead " +
    "reported suspected changed opened verdict inspection rather mistaken called problem never " +
    "afterwards shortly result restored longer failed succeeded stable normal finished completed"
  ).split(" "),
);
