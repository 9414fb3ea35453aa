"""Rules of a PodSpec, a part each; `..validation` puts them together.

Source: pkg/apis/core/validation/validation.go.
"""
