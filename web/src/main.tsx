import "@patternfly/react-core/dist/styles/base.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./app/App";
import { reloadWhenPartsAreMissing } from "./app/staleness";
import "./app/styles.css";
import { enterBase } from "./shared/base";
import { startTheme } from "./shared/theme";

startTheme();
reloadWhenPartsAreMissing();

const root = document.getElementById("root");
if (!root) {
  throw new Error("index.html has no element with the id root");
}
if (!enterBase()) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
