import { connect, createServer, type Server, type Socket } from 'node:net'

/** Passes bytes on to a local port, and can lose an answer together with its connection. */
export class CuttingProxy {
  readonly port: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #cutting = false
  /** What is held back, in order, by direction. */
  readonly #held = { 'to the server': [] as (() => void)[], 'from the server': [] as (() => void)[] }
  #holding: ReadonlySet<'to the server' | 'from the server'> = new Set()
  /** Connections that were made through it. */
  connections = 0

  private constructor(server: Server, port: number) {
    this.#server = server
    this.port = port
  }

  static async to(target: number): Promise<CuttingProxy> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const proxy = new CuttingProxy(server, (server.address() as { port: number }).port)
    server.on('connection', (socket) => proxy.#accept(socket, target))
    return proxy
  }

  /** The next answer of the server is lost, and the connection with it. */
  cutNextAnswer(): void {
    this.#cutting = true
  }

  /** Ends every connection; others may be made at once. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Holds back what goes in these directions, until it is released. */
  hold(...directions: ('to the server' | 'from the server')[]): void {
    this.#holding = new Set(directions)
  }

  /** Lets everything go on its way that was held back. */
  release(): void {
    this.#holding = new Set()
    for (const held of Object.values(this.#held)) for (const send of held.splice(0)) send()
  }

  #pass(direction: 'to the server' | 'from the server', send: () => void): void {
    if (this.#holding.has(direction)) this.#held[direction].push(send)
    else send()
  }

  #accept(near: Socket, target: number): void {
    this.connections++
    const far = connect(target, '127.0.0.1')
    const end = () => {
      near.destroy()
      far.destroy()
      this.#sockets.delete(near)
      this.#sockets.delete(far)
    }
    for (const socket of [near, far]) {
      this.#sockets.add(socket)
      socket.on('error', end)
      socket.on('close', end)
    }
    near.on('data', (bytes) => this.#pass('to the server', () => void far.write(bytes)))
    far.on('data', (bytes) => {
      if (!this.#cutting) return this.#pass('from the server', () => void near.write(bytes))
      this.#cutting = false
      end()
    })
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
