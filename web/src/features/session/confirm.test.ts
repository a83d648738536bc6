import { expect, test, vi } from "vitest";

import { RequestError } from "../../shared/api/problem";
import { askBy, confirming } from "./confirm";

const wanted = () => new RequestError("Confirm your password.", "confirmation_required", 403);

test("a request is repeated once the user has confirmed", async () => {
  const stop = askBy(() => Promise.resolve(true));
  const request = vi.fn<() => Promise<string>>().mockRejectedValueOnce(wanted()).mockResolvedValue("done");
  await expect(confirming(request)).resolves.toBe("done");
  expect(request).toHaveBeenCalledTimes(2);
  request.mockReset().mockRejectedValue(wanted());
  await expect(confirming(request)).rejects.toMatchObject({ code: "confirmation_required" });
  expect(request).toHaveBeenCalledTimes(2);
  stop();
});

test("it fails if the user cancels, if no dialog is registered, and for other reasons", async () => {
  const stop = askBy(() => Promise.resolve(false));
  const request = vi.fn<() => Promise<string>>().mockRejectedValue(wanted());
  await expect(confirming(request)).rejects.toMatchObject({ code: "confirmation_required" });
  stop();
  await expect(confirming(request)).rejects.toMatchObject({ code: "confirmation_required" });
  expect(request).toHaveBeenCalledTimes(2);
  const asked = vi.fn<() => Promise<boolean>>();
  const stopAsking = askBy(asked);
  request.mockReset().mockRejectedValue(new RequestError("No.", "forbidden", 403));
  await expect(confirming(request)).rejects.toMatchObject({ code: "forbidden" });
  expect(asked).not.toHaveBeenCalled();
  stopAsking();
});
