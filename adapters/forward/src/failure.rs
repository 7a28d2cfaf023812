//! The texts of failed posts.

/// Returns the text of an error of `wasi:http`, for the operator. A macro, because each
/// version of `wasi:http` has a type of its own.
#[macro_export]
macro_rules! failure_text {
    ($error:expr, $ErrorCode:ident) => {
        match $error {
            $ErrorCode::DnsTimeout | $ErrorCode::DnsError(_) | $ErrorCode::DestinationNotFound => {
                "the endpoint's host name was not found"
            }
            $ErrorCode::ConnectionRefused => "the endpoint refused the connection",
            $ErrorCode::ConnectionTimeout
            | $ErrorCode::ConnectionReadTimeout
            | $ErrorCode::ConnectionWriteTimeout
            | $ErrorCode::HttpResponseTimeout => $crate::endpoint::TOO_SLOW,
            $ErrorCode::TlsProtocolError
            | $ErrorCode::TlsCertificateError
            | $ErrorCode::TlsAlertReceived(_) => "TLS with the endpoint failed",
            $ErrorCode::HttpRequestDenied | $ErrorCode::DestinationIpProhibited => {
                "this host does not allow requests to the endpoint (Spin: `allowed_outbound_hosts`)"
            }
            $ErrorCode::InternalError(Some(text)) => text.as_str(),
            _ => "the request to the endpoint failed",
        }
    };
}
