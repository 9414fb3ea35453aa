"""What the API server says to certificatesigningrequests; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.certificates.certificate_signing_request import KIND

REQUEST = (
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlISU1IRUNBUUF3RHpFTk1Bc0dBMVVFQXd3"
    "RWFtRnVaVEJaTUJNR0J5cUdTTTQ5QWdFR0NDcUdTTTQ5QXdFSApBMElBQkw4ODQzQmM0a0pOb3k4TVlCRVdI"
    "U0tGUnpFd3Fzc1BHVmhQd0IyY0xaREJ2Smx0MWttQS9HRkxOUlZhCldiRGQyQUYyeWxOSFR6bWtGc1hFc1Vu"
    "VlJNR2dBREFLQmdncWhrak9QUVFEQWdOSEFEQkVBaUFFN3laUWlRbG0KOVh0OTNpejdIYUtYeFBQaDV1d3dk"
    "TlAwNmQ2dllyMk12Z0lnYk5mQ1VtN21hTVRIcmlxVFpqVjBpbWhSMXF0Sgprb0tzUlN5MGtNRWhyTmc9Ci0t"
    "LS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo="
)

ABSENT = "<absent>"

BASES = {
    "gold-min": {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "gold-min"},
        "spec": {
            "request": REQUEST,
            "signerName": "example.com/s",
            "usages": ["client auth"],
        },
    },
    "gold-rich": {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "gold-rich"},
        "spec": {
            "expirationSeconds": 600,
            "groups": ["x"],
            "request": REQUEST,
            "signerName": "example.com/s",
            "usages": ["client auth", "digital signature"],
            "username": "evil",
        },
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "gold-min",
        "/spec/request",
        "<absent>",
        ["spec.request: Invalid value: null: PEM block type must be CERTIFICATE REQUEST"],
    ),
    ("gold-min", "/spec/usages/0", "<absent>", ["spec.usages: Required value"]),
    (
        "gold-min",
        "/spec",
        {},
        [
            "spec.request: Invalid value: null: PEM block type must be CERTIFICATE REQUEST",
            "spec.usages: Required value",
            "spec.signerName: Required value",
        ],
    ),
    (
        "gold-min",
        "/spec/request",
        "",
        ['spec.request: Invalid value: "": PEM block type must be CERTIFICATE REQUEST'],
    ),
    ("gold-min", "/spec/signerName", "", ["spec.signerName: Required value"]),
    (
        "gold-min",
        "/spec/signerName",
        "Bad_Value!",
        [
            'spec.signerName: Invalid value: "Bad_Value!": must be a fully qualified domain and '
            "path of the form 'example.com/signer-name'"
        ],
    ),
    (
        "gold-min",
        "/spec/usages",
        ["client auth", "client auth"],
        ['spec.usages[1]: Duplicate value: "client auth"'],
    ),
    (
        "gold-min",
        "/spec/usages/0",
        "",
        [
            'spec.usages[0]: Unsupported value: "": supported values: "any", "cert sign", '
            '"client auth", "code signing", "content commitment", "crl sign", "data '
            'encipherment", "decipher only", "digital signature", "email protection", "encipher '
            'only", "ipsec end system", "ipsec tunnel", "ipsec user", "key agreement", "key '
            'encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime", "server '
            'auth", "signing", "timestamping"'
        ],
    ),
    (
        "gold-min",
        "/spec/usages/0",
        "Bad_Value!",
        [
            'spec.usages[0]: Unsupported value: "Bad_Value!": supported values: "any", "cert '
            'sign", "client auth", "code signing", "content commitment", "crl sign", "data '
            'encipherment", "decipher only", "digital signature", "email protection", "encipher '
            'only", "ipsec end system", "ipsec tunnel", "ipsec user", "key agreement", "key '
            'encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime", "server '
            'auth", "signing", "timestamping"'
        ],
    ),
    (
        "gold-rich",
        "/spec/expirationSeconds",
        -1,
        [
            "spec.expirationSeconds: Invalid value: -1: may not specify a duration less than "
            "600 seconds (10 minutes)"
        ],
    ),
    (
        "gold-rich",
        "/spec/expirationSeconds",
        0,
        [
            "spec.expirationSeconds: Invalid value: 0: may not specify a duration less than 600 "
            "seconds (10 minutes)"
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("gold-rich", "/spec/expirationSeconds", "<absent>"),
    ("gold-rich", "/spec/groups", "<absent>"),
    ("gold-rich", "/spec/groups/0", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGEABLE = [
    ("gold-min", "/spec", "<absent>"),
    ("gold-min", "/spec/request", "<absent>"),
    ("gold-min", "/spec/signerName", "<absent>"),
    ("gold-rich", "/spec/expirationSeconds", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []
