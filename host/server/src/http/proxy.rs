//! Reads the header of the PROXY protocol, versions 1 and 2, in which a proxy
//! reports the client's address.
//!
//! Nothing beyond the header's end is read, because the next bytes belong to TLS or
//! HTTP. Fields after the addresses are ignored.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The first bytes of a header of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header of version 1, in bytes, including the line end.
const LINE_BYTES_MAX: usize = 107;

/// The longest part of a version 2 header after its first 16 bytes, in bytes. The
/// protocol allows more, but proxies send only addresses and a few names.
const ADDRESSES_BYTES_MAX: u16 = 4096;

/// Reads the header. Returns the client's address, or `None` if the proxy connects
/// by itself, for example for a health check.
pub(super) async fn read_header(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<SocketAddr>> {
    // All headers are at least this long.
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    let client = if start == SIGNATURE {
        read_addresses(stream).await?
    } else if start.starts_with(b"PROXY ") {
        parse_line(&read_line(stream, &start).await?)
    } else {
        None
    };
    client.ok_or_else(|| {
        let reason = "the PROXY protocol header is missing or malformed";
        io::Error::new(io::ErrorKind::InvalidData, reason)
    })
}

/// Reads the rest of a version 1 header. Returns the whole line with its end.
async fn read_line(stream: &mut (impl AsyncRead + Unpin), start: &[u8]) -> io::Result<Vec<u8>> {
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") && line.len() < LINE_BYTES_MAX {
        line.push(stream.read_u8().await?);
    }
    Ok(line)
}

/// Parses a header of version 1. Returns `None` if it is malformed, and `Some(None)`
/// if it names no client.
fn parse_line(line: &[u8]) -> Option<Option<SocketAddr>> {
    let line = str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let mut fields = line.strip_prefix("PROXY ")?.split(' ');
    let family = fields.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let [source, target, source_port, target_port] = [(); 4].map(|()| fields.next());
    let (source, target): (IpAddr, IpAddr) = (source?.parse().ok()?, target?.parse().ok()?);
    let is_of_family = match family {
        "TCP4" => source.is_ipv4() && target.is_ipv4(),
        "TCP6" => source.is_ipv6() && target.is_ipv6(),
        _ => false,
    };
    let port = parse_port(source_port?)?;
    parse_port(target_port?)?;
    let is_whole = is_of_family && fields.next().is_none();
    is_whole.then(|| Some(SocketAddr::new(source.to_canonical(), port)))
}

fn parse_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// Reads a header of version 2 from its 13th byte on. Returns `None` if it is
/// malformed, and `Some(None)` if it names no client.
async fn read_addresses(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<Option<SocketAddr>>> {
    let command = stream.read_u8().await?;
    let family = stream.read_u8().await?;
    let length = stream.read_u16().await?;
    if length > ADDRESSES_BYTES_MAX {
        return Ok(None);
    }
    let mut addresses = vec![0; length.into()];
    stream.read_exact(&mut addresses).await?;
    Ok(match command {
        // LOCAL: the proxy connects by itself.
        0x20 => Some(None),
        0x21 => parse_addresses(family, &addresses),
        _ => None,
    })
}

fn parse_addresses(family: u8, addresses: &[u8]) -> Option<Option<SocketAddr>> {
    let (source, port): (IpAddr, _) = match family {
        // TCP over IPv4: two addresses, two ports.
        0x11 => (
            Ipv4Addr::from(*addresses.first_chunk::<4>()?).into(),
            addresses.get(8..12)?,
        ),
        // TCP over IPv6.
        0x21 => (
            Ipv6Addr::from(*addresses.first_chunk::<16>()?).into(),
            addresses.get(32..36)?,
        ),
        // Unspecified, or a Unix socket.
        0x00 | 0x31 => return Some(None),
        _ => return None,
    };
    let port = u16::from_be_bytes(*port.first_chunk()?);
    Some(Some(SocketAddr::new(source.to_canonical(), port)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REST: &[u8] = b"GET / HTTP/1.1\r\n";

    /// Reads a header that is followed by a request, and checks that no byte of the
    /// request was read.
    fn read(header: &[u8]) -> io::Result<Option<SocketAddr>> {
        let bytes = [header, REST].concat();
        let mut stream = &bytes[..];
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let client = runtime.block_on(read_header(&mut stream))?;
        assert_eq!(stream, REST);
        Ok(client)
    }

    fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, addresses].concat()
    }

    fn client(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn version_1_names_the_client() {
        let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
        assert_eq!(read(line).unwrap(), client("192.0.2.7:56324"));
        let line = b"PROXY TCP6 2001:db8::7 2001:db8::1 1 443\r\n";
        assert_eq!(read(line).unwrap(), client("[2001:db8::7]:1"));
        assert_eq!(read(b"PROXY UNKNOWN\r\n").unwrap(), None);
        assert_eq!(read(b"PROXY UNKNOWN ::1 ::1 1 2\r\n").unwrap(), None);
    }

    #[test]
    fn version_2_names_the_client() {
        let ports = [0xdc, 0x04, 0x01, 0xbb];
        let v4 = [&[192, 0, 2, 7, 198, 51, 100, 1], &ports[..]].concat();
        let header = version_2(0x21, 0x11, &v4);
        assert_eq!(read(&header).unwrap(), client("192.0.2.7:56324"));
        let with_fields = version_2(0x21, 0x11, &[&v4[..], &[4, 0, 1, 9]].concat());
        assert_eq!(read(&with_fields).unwrap(), client("192.0.2.7:56324"));
        let v6 = [&Ipv6Addr::LOCALHOST.octets()[..], &[0; 16], &ports].concat();
        let header = version_2(0x21, 0x21, &v6);
        assert_eq!(read(&header).unwrap(), client("[::1]:56324"));
        assert_eq!(read(&version_2(0x20, 0, &[])).unwrap(), None);
        assert_eq!(read(&version_2(0x21, 0, &[1; 8])).unwrap(), None);
    }

    #[test]
    fn anything_else_is_refused() {
        let too_long = [b"PROXY UNKNOWN ", &[b'x'; 120][..], b"\r\n"].concat();
        let short = [192, 0, 2, 7, 198, 51, 100, 1, 0];
        for wrong in [
            b"GET / HTTP/1.1\r\nhost: h\r\n\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 198.51.100.1 1 443 5\r\n".to_vec(),
            b"PROXY TCP4  192.0.2.7 198.51.100.1 1 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.7 198.51.100.1 1 443\r\n".to_vec(),
            too_long,
            version_2(0x31, 0x11, &[0; 12]),
            version_2(0x22, 0x11, &[0; 12]),
            version_2(0x21, 0x12, &[0; 12]),
            version_2(0x21, 0x11, &short),
            version_2(0x21, 0x11, &[0; 5000]),
        ] {
            let refused = read(&wrong).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic(bytes: Vec<u8>, version in 0..3_usize) {
            let start: &[u8] = [&b""[..], b"PROXY TCP4 ", &SIGNATURE][version];
            let bytes = [start, &bytes].concat();
            let mut stream = &bytes[..];
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(read_header(&mut stream));
        }

        #[test]
        fn each_version_names_any_client(client: SocketAddr) {
            let canonical = SocketAddr::new(client.ip().to_canonical(), client.port());
            let (ip, port) = (client.ip(), client.port());
            let family = if ip.is_ipv4() { "TCP4" } else { "TCP6" };
            let line = format!("PROXY {family} {ip} {ip} {port} 443\r\n");
            prop_assert_eq!(read(line.as_bytes()).unwrap(), Some(canonical));
            let (family, octets) = match ip {
                IpAddr::V4(ip) => (0x11, ip.octets().to_vec()),
                IpAddr::V6(ip) => (0x21, ip.octets().to_vec()),
            };
            let ports = [port.to_be_bytes(), [0, 0]].concat();
            let header = version_2(0x21, family, &[&octets[..], &octets, &ports].concat());
            prop_assert_eq!(read(&header).unwrap(), Some(canonical));
        }
    }
}
