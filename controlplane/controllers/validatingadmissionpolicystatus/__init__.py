"""Tells in the status of ValidatingAdmissionPolicies which expressions do not fit the types they are for."""
