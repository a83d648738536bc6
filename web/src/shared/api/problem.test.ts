import { expect, test } from "vitest";

import { messageOf, requestError, unreachableError } from "./problem";

test("takes sentence, code and fields from a problem", () => {
  const error = requestError(422, {
    title: "Unprocessable Entity",
    detail: "Give at least 16 MiB.",
    code: "invalid_request",
    errors: [{ location: "body.resources.ram", message: "too small" }, { message: "of no field" }],
  });
  expect(error.message).toBe("Give at least 16 MiB.");
  expect(error.code).toBe("invalid_request");
  expect(error.fields).toEqual({ "resources.ram": "too small" });
});

test("says something of use where a proxy answered", () => {
  const error = requestError(504, "<html>Gateway Timeout</html>");
  expect(error.code).toBe("unknown");
  expect(error.message).toContain("504");
});

test("messageOf never shows what is not written for users", () => {
  expect(messageOf(unreachableError())).toContain("Check that the service is running");
  expect(messageOf({ odd: true })).toContain("Reload");
});
