/** A DNS server as Docker's is: a name of a service stands for the addresses of all its containers. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Teardown } from './service.ts'

const HEADER_LENGTH = 12
const TYPE_A = 1
const NOT_FOUND = 3

/** @returns the port that it is asked on */
export async function startNames (t: Teardown, addresses: Record<string, string[]>): Promise<number> {
  const server = createSocket('udp4')
  server.on('message', (query, { port, address }) => { server.send(answerTo(query, addresses), port, address) })
  await once(server.bind(0, '127.0.0.1'), 'listening')
  t.teardown(() => { server.close() })
  return server.address().port
}

/** RFC 1035, section 4: header, the question as it was asked, answers that point back to its name. */
function answerTo (query: Buffer, addresses: Record<string, string[]>): Buffer {
  const { name, end } = nameIn(query)
  const known = addresses[name]
  const found = query.readUInt16BE(end) === TYPE_A ? known ?? [] : []
  const header = Buffer.alloc(HEADER_LENGTH)
  query.copy(header, 0, 0, 2)
  header.writeUInt16BE(0x8180 | (known ? 0 : NOT_FOUND), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(found.length, 6)
  const answers = found.map(address => Buffer.from([0xc0, HEADER_LENGTH, 0, TYPE_A, 0, 1, 0, 0, 0, 60, 0, 4, ...address.split('.').map(Number)]))
  return Buffer.concat([header, query.subarray(HEADER_LENGTH, end + 4), ...answers])
}

function nameIn (query: Buffer): { name: string, end: number } {
  const labels: string[] = []
  let place = HEADER_LENGTH
  for (let length = query.readUInt8(place); length > 0; length = query.readUInt8(place)) {
    labels.push(query.toString('latin1', place + 1, place + 1 + length))
    place += length + 1
  }
  return { name: labels.join('.'), end: place + 1 }
}
