/**
 * Where a service keeps the state of its predictor between two runs. One document, replaced as a whole: whatever happens while it
 * is saved, what is loaded next is the old one or the new one. One service at a time saves under one name.
 */
export interface ModelStore {
  /** What was saved last, undefined before the first time. */
  load(): Promise<Uint8Array | undefined>
  save(model: Uint8Array): Promise<void>
}
