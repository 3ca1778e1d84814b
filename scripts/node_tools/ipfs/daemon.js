// A js-ipfs daemon that speaks to this machine only: RPC and gateway on 127.0.0.1, no swarm, no peers, no preloading.
//
//   node daemon.js REPO [RPC_PORT] [GATEWAY_PORT]      port 0 (default): any free one
//
// Prints one JSON line {"rpc": PORT, "gateway": PORT, "pid": PID} when it answers; ends on SIGTERM or SIGINT, and when its
// standard input closes if FL_IPFS_FOLLOW_STDIN is set, so that it does not outlive a test that was killed.
import { Daemon } from 'ipfs-daemon'

const [repo, rpcPort = '0', gatewayPort = '0'] = process.argv.slice(2)
if (repo === undefined) {
  console.error('usage: node daemon.js REPO [RPC_PORT] [GATEWAY_PORT]')
  process.exit(2)
}

const daemon = new Daemon({
  repo,
  silent: true,
  offline: true,
  preload: { enabled: false },
  pubsub: false,
  init: { emptyRepo: true, algorithm: 'Ed25519' },
  config: {
    Addresses: {
      Swarm: [],
      API: `/ip4/127.0.0.1/tcp/${rpcPort}`, // administrator access: never anything but loopback
      Gateway: `/ip4/127.0.0.1/tcp/${gatewayPort}`,
      RPC: null,
      Delegates: []
    },
    Bootstrap: [],
    Discovery: { MDNS: { Enabled: false }, webRTCStar: { Enabled: false } }
  }
})

let ending = false
async function end () {
  if (ending) return
  ending = true
  await daemon.stop()
  process.exit(0)
}
process.on('SIGTERM', end)
process.on('SIGINT', end)
if (process.env.FL_IPFS_FOLLOW_STDIN) {
  process.stdin.on('end', end)
  process.stdin.resume()
}

await daemon.start()
const port = (server) => server._apiServers?.[0]?.info.port ?? server._gatewayServers?.[0]?.info.port
console.log(JSON.stringify({ rpc: port(daemon._httpApi), gateway: port(daemon._httpGateway), pid: process.pid }))
