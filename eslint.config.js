// What the linter holds the project to. Presets are taken whole; every exception carries its reason.
import eslint from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

const typed = ["src/**/*.ts", "broker/src/**/*.ts", "bench/**/*.ts", "test/**/*.ts"];

/** Files that meet the outside world: there clocks, chance and the environment are read and handed in. */
const edges = ["src/cli/**/*.ts", "src/device/main.ts", "src/base/clock.ts"];

const nodeGlobals = [
  ...["process", "console", "performance", "URL", "TextEncoder", "TextDecoder"],
  ...["AbortController", "setTimeout", "clearTimeout"],
];

const noBareError = {
  selector: "NewExpression[callee.name=/^(Error|TypeError|RangeError)$/]",
  message: "Throw a class of src/base/errors.ts: what, expected, got, hint.",
};

const seededOnly = "A run repeats from its seed: take an Rng or a Clock as an argument.";

export default defineConfig(
  globalIgnores(["dist/", "build/", "runs/", "models/", "**/node_modules/"]),
  { linterOptions: { reportUnusedDisableDirectives: "error", reportUnusedInlineConfigs: "error" } },
  eslint.configs.recommended,
  {
    name: "every file",
    rules: { eqeqeq: "error", "max-lines": ["error", 500], "no-console": "error" },
  },
  {
    name: "TypeScript, with types",
    files: typed,
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      // node:test awaits what these return; everything else is awaited or marked with void.
      "@typescript-eslint/no-floating-promises": [
        "error",
        {
          allowForKnownSafeCalls: [
            { from: "package", package: "node:test", name: ["test", "it", "describe", "suite"] },
          ],
        },
      ],
      // A number in a message reads as it should; objects and undefined stay forbidden.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // `() => act()` is the short form of a callback and `return act();` of an early end; a void value
      // is still never used.
      "@typescript-eslint/no-confusing-void-expression": [
        "error",
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      // A signature that an interface dictates keeps its unused arguments, named with a leading
      // underscore; naming a property beside a rest is how it is left out of a copy.
      "@typescript-eslint/no-unused-vars": [
        "error",
        { argsIgnorePattern: "^_", ignoreRestSiblings: true },
      ],
      // An interface asks for a promise even where one implementation has nothing to wait for, and
      // `async` is what turns its throw into a rejection.
      "@typescript-eslint/require-await": "off",
    },
  },
  {
    name: "the product",
    files: ["src/**/*.ts"],
    ignores: ["src/base/**"],
    rules: { "no-restricted-syntax": ["error", noBareError] },
  },
  {
    name: "the product, away from its edges",
    files: ["src/**/*.ts"],
    ignores: edges,
    rules: {
      "no-restricted-properties": [
        "error",
        { object: "Math", property: "random", message: seededOnly },
        { object: "Date", property: "now", message: seededOnly },
        { object: "performance", property: "now", message: seededOnly },
        { object: "process", property: "env", message: "Read the environment at the edge only." },
        { object: "process", property: "exit", message: "Throw; the edge decides how to end." },
      ],
      "no-restricted-globals": [
        "error",
        { name: "setTimeout", message: seededOnly },
        { name: "setInterval", message: seededOnly },
      ],
    },
  },
  {
    name: "tests",
    files: ["test/**/*.ts"],
    rules: {
      // A test that meets undefined fails there and then, which is its purpose.
      "@typescript-eslint/no-non-null-assertion": "off",
    },
  },
  {
    name: "declarations of what others wrote",
    files: ["**/*.d.ts"],
    rules: {
      // WebAssembly.Module and its like are classes with nothing but a constructor.
      "@typescript-eslint/no-extraneous-class": "off",
    },
  },
  {
    name: "kernels: AssemblyScript, which tsc cannot type",
    files: ["assembly/**/*.ts"],
    extends: [tseslint.configs.recommended],
    // Decorators on functions are legal there and a parsing error to TypeScript.
    languageOptions: { parserOptions: { allowInvalidAST: true } },
    rules: {
      // Both operators compare numbers alike there; the kernels write the short one.
      eqeqeq: "off",
      // asc knows its own globals (f32x4, v128, load, …) and reports unknown names itself.
      "no-undef": "off",
      // The comment keeps editors quiet about the same decorators.
      "@typescript-eslint/ban-ts-comment": [
        "error",
        { "ts-ignore": { descriptionFormat: "^: decorator$" } },
      ],
      // What a loop calls for each element has the whole signature of the loop, used or not.
      "@typescript-eslint/no-unused-vars": ["error", { args: "none" }],
    },
  },
  {
    name: "scripts that run as they are",
    files: ["**/*.mjs", "*.js"],
    languageOptions: {
      globals: Object.fromEntries(nodeGlobals.map((name) => [name, "readonly"])),
    },
  },
  {
    name: "programs for developers",
    files: ["scripts/**", "bench/**"],
    rules: {
      // Their output is the console; the product writes through src/cli/output.ts.
      "no-console": "off",
    },
  },
);
