"""Entra objects as Graph sends them: whole, with the many members that are null.

Shapes: https://learn.microsoft.com/graph/api/resources/application, serviceprincipal, passwordcredential and
keycredential, and recorded answers of v1.0.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from datetime import datetime, timedelta
from typing import Any

from .entities import Application, Certificate, FederatedCredential, Secret, ServicePrincipal, User, derived
from .tenant import Tenant

ROTATION = timedelta(days=45)
"""How often the platform adds a certificate to a managed identity; each is valid for twice as long."""


def moment_text(moment: datetime | None) -> str | None:
    """A time as Graph writes it; fractions of a second only where there are any."""
    if moment is None:
        return None
    spec = "milliseconds" if moment.microsecond else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=spec) + "Z"


def password_credential(secret: Secret) -> dict[str, Any]:
    """A passwordCredential; the secret itself is never sent on a read."""
    return {
        "customKeyIdentifier": secret.custom_id,
        "displayName": secret.name,
        "endDateTime": moment_text(secret.end),
        "hint": secret.hint,
        "keyId": secret.key_id,
        "secretText": None,
        "startDateTime": moment_text(secret.start),
    }


def key_credential(certificate: Certificate, *, blob: bool) -> dict[str, Any]:
    """A keyCredential; the key comes only where $select names keyCredentials, and no private one ever."""
    return {
        "customKeyIdentifier": certificate.thumbprint,
        "displayName": certificate.name,
        "endDateTime": moment_text(certificate.end),
        "key": key_blob(certificate.key_id) if blob and certificate.usage == "Verify" else None,
        "keyId": certificate.key_id,
        "startDateTime": moment_text(certificate.start),
        "type": "AsymmetricX509Cert",
        "usage": certificate.usage,
    }


def key_blob(key_id: str) -> str:
    """A text of the size of a public key; it looks random, so that it packs as badly as a real one."""
    return base64.b64encode(hashlib.shake_256(key_id.encode()).digest(780)).decode()


def application(entity: Application, tenant: Tenant, *, blob: bool = False) -> dict[str, Any]:
    """An application as a listing without $select sends it."""
    return {
        "id": entity.id,
        "deletedDateTime": None,
        "appId": entity.app_id,
        "applicationTemplateId": None,
        "disabledByMicrosoftStatus": entity.disabled,
        "createdDateTime": moment_text(entity.created),
        "displayName": entity.name,
        "description": None,
        "groupMembershipClaims": None,
        "identifierUris": [],
        "isDeviceOnlyAuthSupported": None,
        "isFallbackPublicClient": None,
        "nativeAuthenticationApisEnabled": None,
        "notes": None,
        "publisherDomain": tenant.domain,
        "serviceManagementReference": None,
        "signInAudience": entity.audience,
        "tags": [],
        "tokenEncryptionKeyId": None,
        "uniqueName": None,
        "samlMetadataUrl": None,
        "defaultRedirectUri": None,
        "certification": None,
        "optionalClaims": None,
        "requestSignatureVerification": None,
        "addIns": [],
        "api": {
            "acceptMappedClaims": None,
            "knownClientApplications": [],
            "requestedAccessTokenVersion": None,
            "oauth2PermissionScopes": [],
            "preAuthorizedApplications": [],
        },
        "appRoles": [],
        "info": {
            "logoUrl": None,
            "marketingUrl": None,
            "privacyStatementUrl": None,
            "supportUrl": None,
            "termsOfServiceUrl": None,
        },
        "keyCredentials": [key_credential(one, blob=blob) for one in entity.certificates],
        "parentalControlSettings": {"countriesBlockedForMinors": [], "legalAgeGroupRule": "Allow"},
        "passwordCredentials": [password_credential(one) for one in entity.secrets],
        "publicClient": {"redirectUris": []},
        "requiredResourceAccess": [
            {
                "resourceAppId": "00000003-0000-0000-c000-000000000000",
                "resourceAccess": [{"id": "e1fe6dd8-ba31-4d61-89e7-88639da4683d", "type": "Scope"}],
            }
        ],
        "verifiedPublisher": {"displayName": None, "verifiedPublisherId": None, "addedDateTime": None},
        "web": {
            "homePageUrl": None,
            "logoutUrl": None,
            "redirectUris": [],
            "implicitGrantSettings": {"enableAccessTokenIssuance": False, "enableIdTokenIssuance": False},
            "redirectUriSettings": [],
        },
        "servicePrincipalLockConfiguration": {
            "isEnabled": True,
            "allProperties": True,
            "credentialsWithUsageVerify": True,
            "credentialsWithUsageSign": True,
            "identifierUris": False,
            "tokenEncryptionKeyId": True,
        },
        "spa": {"redirectUris": []},
    }


def service_principal(entity: ServicePrincipal, tenant: Tenant, now: datetime, *, blob: bool = False) -> dict[str, Any]:
    """A service principal as a listing without $select sends it; a managed identity brings platform certificates."""
    managed = entity.type == "ManagedIdentity"
    certificates = platform_certificates(entity, now) if managed else entity.certificates
    return {
        "id": entity.id,
        "deletedDateTime": None,
        "accountEnabled": entity.enabled,
        "alternativeNames": ["isExplicit=False", entity.resource_id] if managed else [],
        "appDisplayName": None if managed else entity.name,
        "appDescription": None,
        "appId": entity.app_id,
        "applicationTemplateId": None,
        "appOwnerOrganizationId": None if managed else entity.owner_tenant or tenant.id,
        "appRoleAssignmentRequired": False,
        "createdDateTime": moment_text(entity.created),
        "description": None,
        "disabledByMicrosoftStatus": entity.disabled,
        "displayName": entity.name,
        "homepage": None,
        "loginUrl": None,
        "logoutUrl": None,
        "notes": None,
        "notificationEmailAddresses": [],
        "preferredSingleSignOnMode": entity.sign_on,
        "preferredTokenSigningKeyThumbprint": None,
        "replyUrls": [],
        "servicePrincipalNames": [entity.app_id],
        "servicePrincipalType": entity.type,
        "signInAudience": None if managed else "AzureADMyOrg",
        "tags": [],
        "tokenEncryptionKeyId": None,
        "info": None,
        "samlSingleSignOnSettings": None,
        "addIns": [],
        "appRoles": [],
        "keyCredentials": [key_credential(one, blob=blob) for one in certificates],
        "oauth2PermissionScopes": [],
        "passwordCredentials": [password_credential(one) for one in entity.secrets],
        "resourceSpecificApplicationPermissions": [],
        "verifiedPublisher": {"displayName": None, "verifiedPublisherId": None, "addedDateTime": None},
    }


def platform_certificates(entity: ServicePrincipal, now: datetime) -> list[Certificate]:
    """The certificates that Azure keeps on a managed identity: two that overlap, one within 45 days of its end."""
    rounds = max((now - entity.created) // ROTATION, 0)
    found = []
    for number in range(rounds, max(rounds - 2, -1), -1):
        start = entity.created + number * ROTATION
        mark = uuid.uuid5(uuid.UUID(entity.id), f"platform {number}")
        found.append(
            Certificate(
                key_id=str(mark),
                start=start,
                end=start + 2 * ROTATION,
                name=f"CN={entity.app_id}",
                thumbprint=hashlib.sha1(mark.bytes, usedforsecurity=False).hexdigest().upper(),
            )
        )
    return found


def owner(object_id: str, tenant: Tenant) -> dict[str, Any]:
    """A member of /owners: without User.ReadBasic.All everything about a user but its id is null.

    https://learn.microsoft.com/graph/permissions-overview#limited-information-returned-for-inaccessible-member-objects
    """
    principal = tenant.service_principals.peek(object_id)
    if principal:
        return {"@odata.type": "#microsoft.graph.servicePrincipal", "id": object_id, "appId": principal.app_id} | {
            "displayName": principal.name
        }
    user = next((user for user in tenant.users if user.id == object_id), None)
    shown = user if tenant.permissions & {"User.ReadBasic.All", "User.Read.All", "Directory.Read.All"} else None
    return {"@odata.type": "#microsoft.graph.user", "id": object_id, **_person(shown)}


def _person(user: User | None) -> dict[str, Any]:
    first, _, last = user.name.partition(" ") if user else ("", "", "")
    return {
        "businessPhones": [],
        "displayName": user.name if user else None,
        "givenName": first or None,
        "jobTitle": None,
        "mail": user.upn if user else None,
        "mobilePhone": None,
        "officeLocation": None,
        "preferredLanguage": None,
        "surname": last or None,
        "userPrincipalName": user.upn if user else None,
    }


def federated_credential(entity: FederatedCredential, holder: Application) -> dict[str, Any]:
    """A federated identity credential of an application, as a recorded answer has it."""
    body: dict[str, Any] = {
        "id": derived(holder.id, "federated", entity.name),
        "name": entity.name,
        "issuer": entity.issuer,
        "subject": entity.subject,
        "description": None,
        "audiences": entity.audiences,
    }
    if entity.expression:
        body["claimsMatchingExpression"] = {"languageVersion": 1, "value": entity.expression}
    return body
