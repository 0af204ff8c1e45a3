// What goes wrong between the console and the service, as one error class.
import type { WrongField } from "../client";

/** An answer that is not a success, or no answer at all (`status` 0). */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly title: string;
  readonly fields: readonly WrongField[];

  constructor(status: number, title: string, detail: string, fields: readonly WrongField[] = []) {
    super(detail);
    this.status = status;
    this.title = title;
    this.fields = fields;
  }

  get unreachable(): boolean {
    return this.status === 0;
  }
}

/** Turn whatever the client has caught into an ApiError. */
export function toApiError(error: unknown, response: Response | undefined): ApiError {
  if (error instanceof ApiError) return error;
  if (response === undefined) return new ApiError(0, "", "");
  const problem = isRecord(error) ? error : {};
  return new ApiError(
    response.status,
    text(problem.title) ?? response.statusText,
    text(problem.detail) ?? `HTTP ${response.status}`,
    Array.isArray(problem.errors) ? problem.errors.filter(isWrongField) : [],
  );
}

/** The same reading of any error that a query or a mutation ended with. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(-1, "", error instanceof Error ? error.message : String(error));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isWrongField(value: unknown): value is WrongField {
  return isRecord(value) && typeof value.path === "string" && typeof value.message === "string";
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
