//! The keys of mail.

use batchtask_relay::{MailOptions, Security, TlsOptions};

use super::keys::{
    ALLOW_LINK_LOCAL, ALLOW_PLAINTEXT, CA, FROM, HOST, PASSWORD, PORT, SECURITY, TO, USER,
};
use super::reader::Reader;

impl Reader<'_> {
    /// Returns `None` if the security is not known.
    pub(super) fn mail(&mut self) -> Option<MailOptions> {
        let security = self.choice(
            &SECURITY,
            &[
                ("starttls", Security::StartTls),
                ("tls", Security::Tls),
                ("none", Security::None),
            ],
        );
        self.require(&TO);
        Some(MailOptions {
            host: self.required_text(&HOST).unwrap_or_default(),
            port: self.number(&PORT, 1..=u16::MAX),
            allow_plaintext: self.switch(&ALLOW_PLAINTEXT),
            login: self.login(),
            from: self.required_text(&FROM).unwrap_or_default(),
            to: self.texts(&TO),
            tls: TlsOptions {
                authorities: self.file(&CA),
                identity: None,
            },
            timeout: self.timeout(),
            allow_link_local: self.switch(&ALLOW_LINK_LOCAL),
            security: security?,
        })
    }

    fn login(&mut self) -> Option<(String, String)> {
        self.needs(&USER, &PASSWORD);
        self.needs(&PASSWORD, &USER);
        self.text(&USER).zip(self.secret(&PASSWORD))
    }
}
