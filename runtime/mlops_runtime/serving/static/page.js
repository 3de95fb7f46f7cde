// Adds to the page what its forms cannot do: progress of a table, and recent predictions. The forms work without it.

import { serveHistory } from "./history.js";
import { serveTables } from "./table.js";

serveTables(document.querySelector(".table-upload"));
serveHistory(document.querySelector(".history"), document.querySelector("form.record"), document.querySelector(".prediction"));
