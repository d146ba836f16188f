declare module 'hashring' {
  /** A consistent hash ring of clients (ketama). */
  export default class HashRing {
    constructor(servers: readonly string[])
    get(key: string): string
  }
}
