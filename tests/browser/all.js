// Every test of the dashboard in a browser, one after another: they share one browser, and each file has programs of its own.
import { after } from "node:test";
import { closeAll } from "./rig.js";

after(closeAll);

await import("./actions.js");
await import("./access.js");
await import("./live.js");
await import("./hostile.js");
await import("./reading.js");
await import("./many.js");
await import("./example.js");
