import { type ReactNode, useEffect, useRef } from "react";
import { useLocation } from "react-router";

interface TabLinksProps {
  label: string;
  className?: string;
  /** NavLinks. */
  children: ReactNode;
}

/** Links to the views of a page as tabs. If they are wider than the screen, the current one is scrolled into view. */
export function TabLinks({ label, className = "", children }: TabLinksProps) {
  const tabs = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  useEffect(() => {
    tabs.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [pathname]);
  return (
    <nav ref={tabs} className={`sl-tabs ${className}`.trim()} aria-label={label}>
      {children}
    </nav>
  );
}
