// The JavaScript half of sdk/node.py: reads what is asked, a line of JSON each, and answers in kind. Knows no SDK.
import readline from "node:readline";

// `drivers` maps a kind to a function of (base_url, key) that makes {ask, models, count, embed}. An answer keeps its history
// here, as the SDK's own objects, under a number.
export async function serve(drivers) {
  const make = drivers[process.argv[2]];
  const histories = [];
  let now = { key: null, driver: null };
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { op, base_url, key, ...args } = JSON.parse(line);
    if (now.key !== key) now = { key, driver: make(base_url, key) };
    try {
      if (op === "ask") args.after = args.after === null ? null : histories[args.after];
      const ok = await now.driver[op](args);
      if (op === "ask") ok.history = histories.push(ok.history) - 1;
      say({ ok });
    } catch (error) {
      say({ error: told(error) });
    }
  }
}

function say(line) {
  process.stdout.write(JSON.stringify(line) + "\n");
}

function told(error) {
  const kind = error.name?.startsWith("AI_") ? error.name : error.constructor.name;
  const trace = kind.endsWith("Error") && error.status === undefined && error.statusCode === undefined ? ` at ${error.stack}` : "";
  return { kind, status: error.status ?? error.statusCode ?? null, message: String(error.message ?? error) + trace };
}

export const dataUrl = (image) => "data:image/png;base64," + image;

// What `results` of the request are, in the order of the calls that they answer.
export const resultsOf = (ask) => Object.entries(ask.results);
