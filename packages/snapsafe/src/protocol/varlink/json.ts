/** An object as it came out of `JSON.parse`: nothing is known of its members until they are checked. */
export type JsonObject = { [key: string]: unknown }

/** True for what varlink calls an object: not null, not an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
