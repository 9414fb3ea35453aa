"""Whose request is served next: classification, fair queues, shares of the server. Pure: time comes as a function.

Source: KEP-1040 (API priority and fairness) and apiserver/pkg/util/flowcontrol.
"""
