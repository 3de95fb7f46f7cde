// What the page does beyond its forms, which work without this.

import { serveHistory } from "./history.js";
import { serveTables } from "./table.js";

const form = document.querySelector("form.record");
serveTables(document.querySelector(".dropped"), form);
serveHistory(document.querySelector(".history"), form, document.querySelector(".prediction"));
