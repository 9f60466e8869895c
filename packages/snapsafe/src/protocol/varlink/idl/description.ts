/** One type as the interface definition language can express it. */
export type IdlType =
  | { readonly kind: 'bool' | 'int' | 'float' | 'string' | 'object' | 'any' }
  | { readonly kind: 'array'; readonly element: IdlType }
  | { readonly kind: 'map'; readonly value: IdlType }
  | { readonly kind: 'nullable'; readonly type: IdlType }
  | { readonly kind: 'named'; readonly name: string }
  | IdlStruct
  | IdlEnum

/** Fields by name, in the order of the text. */
export interface IdlStruct {
  readonly kind: 'struct'
  readonly fields: ReadonlyMap<string, IdlField>
}

/** The values in the order of the text, each with the comment above it ('' when there is none). */
export interface IdlEnum {
  readonly kind: 'enum'
  readonly values: ReadonlyMap<string, string>
}

export interface IdlField {
  readonly name: string
  readonly docs: string
  readonly type: IdlType
}

export interface IdlTypeMember {
  readonly name: string
  readonly docs: string
  readonly type: IdlStruct | IdlEnum
}

export interface IdlMethod {
  readonly name: string
  readonly docs: string
  readonly parameters: IdlStruct
  readonly reply: IdlStruct
  /** From the comment lines `[Requires 'more' flag]` and `[Supports 'more' flag]`, as systemd writes them. */
  readonly more: 'required' | 'supported' | 'unspecified'
}

export interface IdlError {
  readonly name: string
  readonly docs: string
  readonly parameters: IdlStruct
}

/**
 * A parsed interface. Members keep the order of the text and share one namespace; every named type resolves.
 * `docs` are comment lines joined by '\n', without the '#'.
 */
export interface InterfaceDescription {
  readonly name: string
  readonly docs: string
  /** The text that was parsed, byte for byte: what GetInterfaceDescription answers. */
  readonly text: string
  readonly types: ReadonlyMap<string, IdlTypeMember>
  readonly methods: ReadonlyMap<string, IdlMethod>
  readonly errors: ReadonlyMap<string, IdlError>
}
