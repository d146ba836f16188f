import { connect, createServer, type Server, type Socket } from 'node:net'

/** Passes bytes on to a local port, and can lose an answer together with its connection. */
export class CuttingProxy {
  readonly port: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #cutting = false
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
    near.on('data', (bytes) => far.write(bytes))
    far.on('data', (bytes) => {
      if (!this.#cutting) return void near.write(bytes)
      this.#cutting = false
      end()
    })
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
