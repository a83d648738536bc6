import { QueryClientProvider } from "@tanstack/react-query";
import { useState } from "react";
import { BrowserRouter } from "react-router";

import { OneUser } from "../features/session/OneUser";
import { base } from "../shared/base";
import { ToastProvider } from "../shared/ui/toasts";
import { CrashBoundary } from "./CrashBoundary";
import { createQueries } from "./queries";
import { AppRoutes } from "./routes";

/** The whole UI. */
export function App() {
  const [queries] = useState(createQueries);
  return (
    <QueryClientProvider client={queries}>
      <BrowserRouter basename={base || "/"}>
        <ToastProvider>
          <CrashBoundary>
            <OneUser>
              <AppRoutes />
            </OneUser>
          </CrashBoundary>
        </ToastProvider>
      </BrowserRouter>
    </QueryClientProvider>
  );
}
