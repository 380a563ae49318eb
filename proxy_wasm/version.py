"""The SDK's version: what a filter is built with, as the built module says it itself."""

VERSION = "0.1.0"
