import { type ReactNode, useEffect, useRef } from "react";
import { useLocation } from "react-router";

interface TabLinksProps {
  label: string;
  className?: string;
  /** NavLinks. */
  children: ReactNode;
}

/** The ways to the views of a page. Where they are wider than the screen, the present one is scrolled into sight. */
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
