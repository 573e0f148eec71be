/** True for addresses that never leave this machine: a URL, a host name or an IP address. */
export function isLoopback (address: string): boolean {
  const host = URL.canParse(address) ? new URL(address).hostname : address
  return host === 'localhost' || host.endsWith('.localhost') || /^127(?:\.\d{1,3}){3}$/.test(host) || host === '[::1]' || host === '::1'
}
