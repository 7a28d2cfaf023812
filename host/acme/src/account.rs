//! The account at the CA.

use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};

use crate::attempt::refused;
use crate::error::Error;
use crate::http::{Directory, Http};
use crate::options::Options;
use crate::store::StoredAccount;

const STEP: &str = "account";

/// The error of a CA that has forgotten an account.
const FORGOTTEN: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// Uses the stored account, or creates one. Returns it, and what must be stored instead.
pub(crate) async fn open(
    http: &Http,
    options: &Options,
    directory: &Directory,
    stored: Option<&StoredAccount>,
) -> Result<(Account, Option<StoredAccount>), Error> {
    let of_this_ca = stored.filter(|stored| {
        let url = stored.credentials.get("directory");
        url.and_then(|url| url.as_str()) == Some(&*options.directory)
    });
    let Some(stored) = of_this_ca else {
        return create(http, options, directory).await;
    };
    let Ok(credentials) = serde_json::from_value::<AccountCredentials>(stored.credentials.clone())
    else {
        tracing::warn!("the stored account is not understood: creating another one");
        return create(http, options, directory).await;
    };
    let builder = Account::builder_with_http(Box::new(http.clone()));
    let account = builder.from_credentials(credentials).await;
    let account = account.map_err(|error| refused(http, STEP, error))?;
    // Also shows whether the CA still knows the account.
    let contacts = urls(&options.contacts);
    if stored.contacts == options.contacts {
        return Ok((account, None));
    }
    let contacts: Vec<&str> = contacts.iter().map(String::as_str).collect();
    match account.update_contacts(&contacts).await {
        Ok(()) => Ok((
            account,
            Some(StoredAccount {
                contacts: options.contacts.clone(),
                ..stored.clone()
            }),
        )),
        Err(error) if is_forgotten(&error) => create(http, options, directory).await,
        Err(error) => Err(refused(http, STEP, error)),
    }
}

/// Whether the CA does not know the account any more.
pub(crate) fn is_forgotten(error: &instant_acme::Error) -> bool {
    matches!(error, instant_acme::Error::Api(problem) if problem.r#type.as_deref() == Some(FORGOTTEN))
}

/// Creates an account.
pub(crate) async fn create(
    http: &Http,
    options: &Options,
    directory: &Directory,
) -> Result<(Account, Option<StoredAccount>), Error> {
    let external = options.external_account.as_ref();
    if directory.meta.external_account_required && external.is_none() {
        let host = options.directory.parse::<http::Uri>().ok();
        let host = host.and_then(|uri| uri.host().map(str::to_owned));
        let host = host.unwrap_or_default();
        return Err(Error::NeedsExternalAccount { host });
    }
    let terms = directory.meta.terms_of_service.as_deref().unwrap_or("none");
    tracing::info!(
        terms,
        "creating an account at `{}`, whose terms of service you accepted",
        options.directory
    );
    let contacts = urls(&options.contacts);
    let contacts: Vec<&str> = contacts.iter().map(String::as_str).collect();
    let new = NewAccount {
        contact: &contacts,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let external = external.map(|it| ExternalAccountKey::new(it.id.clone(), &it.key));
    let (account, credentials) = Account::builder_with_http(Box::new(http.clone()))
        .create(&new, options.directory.clone(), external.as_ref())
        .await
        .map_err(|error| refused(http, STEP, error))?;
    let credentials = serde_json::to_value(credentials);
    let credentials = credentials.map_err(|error| Error::failed("store the account", error))?;
    let stored = StoredAccount {
        contacts: options.contacts.clone(),
        credentials,
    };
    Ok((account, Some(stored)))
}

/// The contacts as URLs.
fn urls(contacts: &[String]) -> Vec<String> {
    let contacts = contacts.iter();
    contacts
        .map(|contact| format!("mailto:{contact}"))
        .collect()
}
