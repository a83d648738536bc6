import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";

import type { Lab } from "../../shared/api/types";
import { savePositions } from "./api/changeLab";
import { labKey } from "./api/labs";
import type { Position } from "./layout";

const restBeforeSaving = 300; // ms

/**
 * The lab with the positions that the user changed, and a function to move items. Positions
 * are saved once nothing has moved for a moment.
 */
export function usePositions(lab: Lab, onError: (error: unknown) => void) {
  const queries = useQueryClient();
  const [moved, setMoved] = useState<Readonly<Record<string, Position>>>({});
  const unsaved = useRef<Record<string, Position>>({});
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const fail = useRef(onError);
  useEffect(() => {
    fail.current = onError;
  });

  const save = useRef(async () => {
    const batch = unsaved.current;
    unsaved.current = {};
    if (Object.keys(batch).length === 0) {
      return;
    }
    try {
      await savePositions(
        lab.id,
        Object.entries(batch).map(([id, { x, y }]) => ({ id, x, y })),
      );
      queries.setQueryData<Lab | null>(labKey(lab.id), (known) => known && at(known, batch));
    } catch (error) {
      fail.current(error);
    }
    // Items that were moved again in the meantime must still be saved.
    setMoved((all) => Object.fromEntries(Object.entries(all).filter(([id, place]) => batch[id] !== place)));
  });
  useEffect(() => {
    const leave = save.current;
    return () => {
      clearTimeout(timer.current);
      void leave();
    };
  }, []);

  return {
    lab: useMemo(() => at(lab, moved), [lab, moved]),
    move: (id: string, to: Position) => {
      unsaved.current[id] = to;
      setMoved((all) => ({ ...all, [id]: to }));
      clearTimeout(timer.current);
      timer.current = setTimeout(() => void save.current(), restBeforeSaving);
    },
  };
}

function at(lab: Lab, places: Readonly<Record<string, Position>>): Lab {
  const placed = <T extends Position & { id: string }>(thing: T): T => ({ ...thing, ...places[thing.id] });
  return { ...lab, nodes: lab.nodes.map(placed), networks: lab.networks.map(placed) };
}
