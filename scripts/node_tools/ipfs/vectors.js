// Writes CIDs that an implementation which is not ours gives to files, in profile unixfs-v1-2025:
//
//   node vectors.js > ../../../tests/unit/store/unixfs_vectors.json
//
// Content of a file of N bytes: byte i is (i * 7 + (i >> 8) * 13 + (i >> 20)) & 255. The largest has two levels of nodes.
import { importer } from 'ipfs-unixfs-importer'

const MIB = 1 << 20
const sizes = [0, 1, 1000, MIB - 1, MIB, MIB + 1, 3 * MIB, 5_000_000, 1024 * MIB + 1, 1026 * MIB + 5]
const store = { put: async () => {}, get: async () => { throw new Error('not stored') }, has: async () => false }

function * content (length) {
  for (let start = 0; start < length; start += MIB) {
    const piece = new Uint8Array(Math.min(MIB, length - start))
    for (let j = 0; j < piece.length; j++) {
      const i = start + j
      piece[j] = (i * 7 + (i >> 8) * 13 + (i >> 20)) & 255
    }
    yield piece
  }
}

const vectors = []
for (const size of sizes) {
  const options = {
    cidVersion: 1,
    rawLeaves: true,
    reduceSingleLeafToSelf: true,
    chunker: 'fixed',
    maxChunkSize: MIB,
    maxChildrenPerNode: 1024,
    strategy: 'balanced'
  }
  for await (const entry of importer([{ content: content(size) }], store, options)) {
    vectors.push({ size, cid: entry.cid.toString() })
  }
}
console.log(JSON.stringify({ by: 'ipfs-unixfs-importer', vectors }, null, 1))
