"""What the API server says to persistentvolumes; answers of Kubernetes 1.36 to the same requests."""

import pytest

from controlplane.kinds.core.persistent_volume.kind import KIND

ABSENT = "<absent>"

BASES = {
    "azuredisk": {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "azuredisk"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "azureDisk": {"diskName": "d", "diskURI": "https://blob/x.vhd"},
            "capacity": {"storage": "1Gi"},
        },
    },
    "azurefile": {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "azurefile"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "azureFile": {"secretName": "s", "secretNamespace": "n", "shareName": "h"},
            "capacity": {"storage": "1Gi"},
        },
    },
    "csi": {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "csi"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "csi": {"driver": "d.example.com", "volumeHandle": "h"},
        },
    },
    "fc": {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "fc"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "fc": {"lun": 0, "targetWWNs": ["50060e801049cfd1"]},
        },
    },
    "gcepd": {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "gcepd"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "gcePersistentDisk": {"pdName": "p"},
        },
    },
    "hostpath": {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "hostpath"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "hostPath": {"path": "/x"},
        },
    },
    "csi-rich": {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "csi-rich"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "csi": {
                "driver": "d.example.com",
                "fsType": "ext4",
                "nodeStageSecretRef": {"name": "a", "namespace": "b"},
                "readOnly": True,
                "volumeHandle": "h",
            },
        },
    },
}

# base, field, value, the causes.
REFUSED = [
    (
        "azuredisk",
        "/spec/azureDisk",
        "<absent>",
        ["spec: Required value: must specify a volume type"],
    ),
    (
        "azuredisk",
        "/spec/azureDisk",
        {},
        [
            "spec.azureDisk.diskName: Required value",
            "spec.azureDisk.diskURI: Required value",
            'spec.azureDisk.diskURI: Unsupported value: "": supported values: '
            '"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"',
        ],
    ),
    ("azuredisk", "/spec/azureDisk/diskName", "", ["spec.azureDisk.diskName: Required value"]),
    (
        "azuredisk",
        "/spec/azureDisk/diskURI",
        "",
        [
            "spec.azureDisk.diskURI: Required value",
            'spec.azureDisk.diskURI: Unsupported value: "": supported values: '
            '"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"',
        ],
    ),
    (
        "azuredisk",
        "/spec/azureDisk/diskURI",
        "Bad_Value!",
        [
            'spec.azureDisk.diskURI: Unsupported value: "Bad_Value!": supported values: '
            '"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"'
        ],
    ),
    (
        "azurefile",
        "/spec/azureFile",
        {},
        ["spec.azureFile.secretName: Required value", "spec.azureFile.shareName: Required value"],
    ),
    ("azurefile", "/spec/azureFile/secretName", "", ["spec.azureFile.secretName: Required value"]),
    (
        "azurefile",
        "/spec/azureFile/secretNamespace",
        "",
        ["spec.azureFile.secretNamespace: Required value"],
    ),
    ("azurefile", "/spec/azureFile/shareName", "", ["spec.azureFile.shareName: Required value"]),
    (
        "csi",
        "/spec/csi",
        {},
        ["spec.csi.driver: Required value", "spec.csi.volumeHandle: Required value"],
    ),
    ("csi", "/spec/csi/driver", "", ["spec.csi.driver: Required value"]),
    (
        "csi",
        "/spec/csi/driver",
        "Bad_Value!",
        [
            'spec.csi.driver: Invalid value: "Bad_Value!": a lowercase RFC 1123 subdomain must '
            "consist of lower case alphanumeric characters, '-' or '.', and must start and end "
            "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ],
    ),
    ("csi", "/spec/csi/volumeHandle", "", ["spec.csi.volumeHandle: Required value"]),
    (
        "fc",
        "/spec/fc/lun",
        "<absent>",
        ["spec.fc.lun: Required value: lun is required if targetWWNs is specified"],
    ),
    (
        "fc",
        "/spec/fc/targetWWNs/0",
        "<absent>",
        [
            "spec.fc.targetWWNs: Required value: must specify either targetWWNs or wwids, but "
            "not both"
        ],
    ),
    (
        "fc",
        "/spec/fc/lun",
        -1,
        ["spec.fc.lun: Invalid value: -1: must be between 0 and 255, inclusive"],
    ),
    (
        "fc",
        "/spec/fc/lun",
        70000,
        ["spec.fc.lun: Invalid value: 70000: must be between 0 and 255, inclusive"],
    ),
    ("gcepd", "/spec/gcePersistentDisk", {}, ["spec.persistentDisk.pdName: Required value"]),
    (
        "hostpath",
        "/spec/capacity/frobnicate",
        1,
        [
            'spec.capacity: Unsupported value: {"frobnicate":"1","storage":"1Gi"}: supported '
            'values: "storage"'
        ],
    ),
    ("hostpath", "/spec/accessModes/0", "<absent>", ["spec.accessModes: Required value"]),
    (
        "hostpath",
        "/spec/capacity",
        "<absent>",
        [
            "spec.capacity: Required value",
            'spec.capacity: Unsupported value: null: supported values: "storage"',
        ],
    ),
    (
        "hostpath",
        "/spec/capacity/storage",
        "<absent>",
        [
            "spec.capacity: Required value",
            'spec.capacity: Unsupported value: {}: supported values: "storage"',
        ],
    ),
    (
        "hostpath",
        "/spec",
        {},
        [
            "spec.accessModes: Required value",
            "spec.capacity: Required value",
            'spec.capacity: Unsupported value: null: supported values: "storage"',
            "spec: Required value: must specify a volume type",
        ],
    ),
    (
        "hostpath",
        "/spec/accessModes/0",
        "",
        [
            'spec.accessModes: Unsupported value: "": supported values: "ReadOnlyMany", '
            '"ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"'
        ],
    ),
    (
        "hostpath",
        "/spec/accessModes/0",
        "Bad_Value!",
        [
            'spec.accessModes: Unsupported value: "Bad_Value!": supported values: '
            '"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"'
        ],
    ),
    ("hostpath", "/spec/hostPath", {}, ["spec.hostPath.path: Required value"]),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), REFUSED)
def test_a_spoilt_field_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.refusals(KIND, BASES[base], path, value)) == sorted(causes)


# Odd, and let pass.
ACCEPTED = [
    ("azuredisk", "/spec/azureDisk/diskName", "Bad_Value!"),
    ("azurefile", "/spec/azureFile/secretNamespace", "<absent>"),
    ("azurefile", "/spec/azureFile/secretName", "Bad_Value!"),
    ("azurefile", "/spec/azureFile/secretNamespace", "Bad_Value!"),
    ("csi", "/spec/csi/volumeHandle", "Bad_Value!"),
    ("csi-rich", "/spec/csi/fsType", "<absent>"),
    ("csi-rich", "/spec/csi/nodeStageSecretRef", "<absent>"),
    ("csi-rich", "/spec/csi/nodeStageSecretRef/name", "<absent>"),
    ("fc", "/spec/fc/lun", 0),
    ("fc", "/spec/fc/targetWWNs", ["50060e801049cfd1", "50060e801049cfd1"]),
    ("fc", "/spec/fc/targetWWNs/0", ""),
    ("gcepd", "/spec/gcePersistentDisk/pdName", "Bad_Value!"),
]


@pytest.mark.parametrize(("base", "path", "value"), ACCEPTED)
def test_what_the_original_takes_is_taken(judge, base, path, value):
    assert judge.refusals(KIND, BASES[base], path, value) == []


CHANGED = [
    (
        "azuredisk",
        "/spec/azureDisk",
        "<absent>",
        [
            "spec: Required value: must specify a volume type",
            "spec: Required value: must specify a volume type",
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable "
            "after creation",
        ],
    ),
    (
        "azuredisk",
        "/spec/azureDisk/diskName",
        "<absent>",
        [
            "spec.azureDisk.diskName: Required value",
            "spec.azureDisk.diskName: Required value",
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable "
            "after creation",
        ],
    ),
    (
        "azuredisk",
        "/spec/azureDisk/diskURI",
        "<absent>",
        [
            "spec.azureDisk.diskURI: Required value",
            'spec.azureDisk.diskURI: Unsupported value: "": supported values: '
            '"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"',
            "spec.azureDisk.diskURI: Required value",
            'spec.azureDisk.diskURI: Unsupported value: "": supported values: '
            '"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"',
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable "
            "after creation",
        ],
    ),
    (
        "azuredisk",
        "/spec/azureDisk/cachingMode",
        "ReadWritex",
        [
            'spec.azureDisk.cachingMode: Unsupported value: "ReadWritex": supported values: '
            '"None", "ReadOnly", "ReadWrite"',
            'spec.azureDisk.cachingMode: Unsupported value: "ReadWritex": supported values: '
            '"None", "ReadOnly", "ReadWrite"',
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable "
            "after creation",
        ],
    ),
    (
        "azuredisk",
        "/spec/azureDisk/diskName",
        "dx",
        [
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable "
            "after creation"
        ],
    ),
    (
        "azuredisk",
        "/spec/azureDisk/kind",
        "Sharedx",
        [
            'spec.azureDisk.kind: Unsupported value: "Sharedx": supported values: "Dedicated", '
            '"Managed", "Shared"',
            'spec.azureDisk.kind: Unsupported value: "Sharedx": supported values: "Dedicated", '
            '"Managed", "Shared"',
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable "
            "after creation",
        ],
    ),
    (
        "azurefile",
        "/spec/azureFile/secretName",
        "<absent>",
        [
            "spec.azureFile.secretName: Required value",
            "spec.azureFile.secretName: Required value",
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable "
            "after creation",
        ],
    ),
    (
        "azurefile",
        "/spec/azureFile/shareName",
        "<absent>",
        [
            "spec.azureFile.shareName: Required value",
            "spec.azureFile.shareName: Required value",
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable "
            "after creation",
        ],
    ),
    (
        "csi",
        "/spec/csi/driver",
        "<absent>",
        [
            "spec.csi.driver: Required value",
            "spec.csi.driver: Required value",
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable "
            "after creation",
        ],
    ),
    (
        "csi",
        "/spec/csi/volumeHandle",
        "<absent>",
        [
            "spec.csi.volumeHandle: Required value",
            "spec.csi.volumeHandle: Required value",
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable "
            "after creation",
        ],
    ),
    (
        "fc",
        "/spec/fc/lun",
        "<absent>",
        [
            "spec.fc.lun: Required value: lun is required if targetWWNs is specified",
            "spec.fc.lun: Required value: lun is required if targetWWNs is specified",
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable "
            "after creation",
        ],
    ),
    (
        "fc",
        "/spec/fc/targetWWNs",
        "<absent>",
        [
            "spec.fc.targetWWNs: Required value: must specify either targetWWNs or wwids, but "
            "not both",
            "spec.fc.targetWWNs: Required value: must specify either targetWWNs or wwids, but "
            "not both",
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable "
            "after creation",
        ],
    ),
    (
        "gcepd",
        "/spec/gcePersistentDisk/pdName",
        "<absent>",
        [
            "spec.persistentDisk.pdName: Required value",
            "spec.persistentDisk.pdName: Required value",
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable "
            "after creation",
        ],
    ),
    (
        "hostpath",
        "/spec",
        "<absent>",
        [
            "spec.accessModes: Required value",
            "spec.capacity: Required value",
            'spec.capacity: Unsupported value: null: supported values: "storage"',
            "spec: Required value: must specify a volume type",
            "spec.accessModes: Required value",
            "spec.capacity: Required value",
            'spec.capacity: Unsupported value: null: supported values: "storage"',
            "spec: Required value: must specify a volume type",
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable "
            "after creation",
        ],
    ),
    (
        "hostpath",
        "/spec/accessModes",
        "<absent>",
        ["spec.accessModes: Required value", "spec.accessModes: Required value"],
    ),
    (
        "hostpath",
        "/spec/capacity",
        "<absent>",
        [
            "spec.capacity: Required value",
            'spec.capacity: Unsupported value: null: supported values: "storage"',
            "spec.capacity: Required value",
            'spec.capacity: Unsupported value: null: supported values: "storage"',
        ],
    ),
    (
        "hostpath",
        "/spec/capacity/storage",
        "<absent>",
        [
            "spec.capacity: Required value",
            'spec.capacity: Unsupported value: {}: supported values: "storage"',
            "spec.capacity: Required value",
            'spec.capacity: Unsupported value: {}: supported values: "storage"',
        ],
    ),
    (
        "hostpath",
        "/spec/hostPath/path",
        "<absent>",
        [
            "spec.hostPath.path: Required value",
            "spec.hostPath.path: Required value",
            "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable "
            "after creation",
        ],
    ),
]


@pytest.mark.parametrize(("base", "path", "value", "causes"), CHANGED)
def test_a_change_is_refused_with_its_path(judge, base, path, value, causes):
    assert sorted(judge.changes(KIND, BASES[base], path, value)) == sorted(causes)


CHANGEABLE = [
    ("azuredisk", "/spec/azureDisk/cachingMode", "<absent>"),
    ("azuredisk", "/spec/azureDisk/fsType", "<absent>"),
    ("azuredisk", "/spec/azureDisk/kind", "<absent>"),
    ("hostpath", "/spec/hostPath/type", "<absent>"),
    ("hostpath", "/spec/persistentVolumeReclaimPolicy", "<absent>"),
    ("hostpath", "/spec/volumeMode", "<absent>"),
]


@pytest.mark.parametrize(("base", "path", "value"), CHANGEABLE)
def test_what_may_change_may_change(judge, base, path, value):
    assert judge.changes(KIND, BASES[base], path, value) == []


ROWS = [
    (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "tb"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": "1Gi"},
                "nfs": {"path": "/p", "server": "s"},
            },
        },
        {"message": "m", "phase": "Failed", "reason": "R"},
        ["tb", "1Gi", "RWO", "Retain", "Failed", "", "", "<unset>", "R", "5s", "Filesystem"],
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "tb"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": "1Gi"},
                "claimRef": {"name": "y", "namespace": "x", "uid": "<uid>"},
                "nfs": {"path": "/p", "server": "s"},
                "storageClassName": "c",
                "volumeAttributesClassName": None,
            },
        },
        {"phase": "Released"},
        ["tb", "1Gi", "RWO", "Retain", "Released", "x/y", "c", "<unset>", "", "5s", "Filesystem"],
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "azurefile"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "azureFile": {"secretName": "s", "secretNamespace": "n", "shareName": "h"},
                "capacity": {"storage": "1Gi"},
            },
        },
        None,
        ["azurefile", "1Gi", "RWO", "Retain", "Pending", "", "", "<unset>", "", "5s", "Filesystem"],
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "csi"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": "1Gi"},
                "csi": {"driver": "d.example.com", "volumeHandle": "h"},
            },
        },
        None,
        ["csi", "1Gi", "RWO", "Retain", "Pending", "", "", "<unset>", "", "5s", "Filesystem"],
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "csi-rich"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": "1Gi"},
                "csi": {
                    "driver": "d.example.com",
                    "fsType": "ext4",
                    "nodeStageSecretRef": {"name": "a", "namespace": "b"},
                    "readOnly": True,
                    "volumeHandle": "h",
                },
            },
        },
        None,
        ["csi-rich", "1Gi", "RWO", "Retain", "Pending", "", "", "<unset>", "", "5s", "Filesystem"],
    ),
    (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "gcepd"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": "1Gi"},
                "gcePersistentDisk": {"pdName": "p"},
            },
        },
        None,
        ["gcepd", "1Gi", "RWO", "Retain", "Pending", "", "", "<unset>", "", "5s", "Filesystem"],
    ),
]


@pytest.mark.parametrize(("obj", "status", "cells"), ROWS)
def test_a_row_of_kubectl_get(judge, obj, status, cells):
    assert judge.cells(KIND, obj, status) == cells
