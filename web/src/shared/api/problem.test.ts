import { expect, test } from "vitest";

import { messageOf, requestError, unreachableError } from "./problem";

test("takes sentence, code and fields from a problem", () => {
  const error = requestError(422, {
    title: "Unprocessable Entity",
    detail: "Enter at least 64 MiB.",
    code: "invalid_request",
    errors: [{ location: "body.resources.ram", message: "too small" }, { message: "of no field" }],
  });
  expect(error.message).toBe("Enter at least 64 MiB.");
  expect(error.code).toBe("invalid_request");
  expect(error.fields).toEqual({ "resources.ram": "too small" });
});

test("has a useful message for a proxy's response", () => {
  const error = requestError(504, "<html>Gateway Timeout</html>");
  expect(error.code).toBe("unknown");
  expect(error.message).toContain("504");
});

test("messageOf never shows texts that aren't meant for users", () => {
  expect(messageOf(unreachableError())).toContain("Check your connection");
  expect(messageOf({ odd: true })).toContain("Reload");
});
