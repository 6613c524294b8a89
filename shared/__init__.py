"""Fusewatch: watches the identities that Azure Kubernetes Service clusters run on."""
