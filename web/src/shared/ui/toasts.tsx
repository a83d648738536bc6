import { Alert, AlertActionCloseButton, AlertGroup } from "@patternfly/react-core";
import { type ReactNode, createContext, useCallback, useContext, useMemo, useRef, useState } from "react";

import { messageOf } from "../api/problem";

interface Toast {
  id: number;
  variant: "success" | "danger" | "warning";
  title: string;
  detail?: string;
}

interface Toasts {
  success: (title: string) => void;
  /** Shows what may need to be corrected. Stays until closed. */
  warning: (title: string, detail: string) => void;
  /** Shows what failed and why. Stays until closed. */
  failure: (title: string, error: unknown) => void;
}

const ToastContext = createContext<Toasts | null>(null);

/** Shows messages about completed or failed actions in the corner of the page. */
export function useToasts(): Toasts {
  const toasts = useContext(ToastContext);
  if (!toasts) {
    throw new Error("useToasts needs a ToastProvider above it");
  }
  return toasts;
}

export function ToastProvider({ children }: { children: ReactNode }) {
  const [shown, setShown] = useState<Toast[]>([]);
  const lastID = useRef(0);
  const add = useCallback((toast: Omit<Toast, "id">) => {
    const id = ++lastID.current;
    setShown((toasts) => [...toasts, { ...toast, id }]);
  }, []);
  const remove = (id: number) => setShown((toasts) => toasts.filter((toast) => toast.id !== id));
  const value = useMemo<Toasts>(
    () => ({
      success: (title) => add({ variant: "success", title }),
      warning: (title, detail) => add({ variant: "warning", title, detail }),
      failure: (title, error) => add({ variant: "danger", title, detail: messageOf(error) }),
    }),
    [add],
  );
  return (
    <ToastContext value={value}>
      {children}
      <AlertGroup isToast isLiveRegion hasAnimations>
        {shown.map((toast) => (
          <Alert
            component="h2"
            key={toast.id}
            variant={toast.variant}
            title={toast.title}
            timeout={toast.variant === "success" ? 5000 : false}
            onTimeout={() => remove(toast.id)}
            actionClose={<AlertActionCloseButton title={toast.title} onClose={() => remove(toast.id)} />}
          >
            {toast.detail}
          </Alert>
        ))}
      </AlertGroup>
    </ToastContext>
  );
}
