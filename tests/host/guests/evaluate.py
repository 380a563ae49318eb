"""Evaluates Python expressions, with much of the standard library at hand and nothing of what that imports only when it is used."""

from __future__ import annotations

# ruff: noqa: F401 -- the expressions use them
import array
import ast
import asyncio
import base64
import calendar
import codecs
import collections
import copy
import csv
import dataclasses
import datetime
import decimal
import difflib
import email
import email.message
import email.utils
import enum
import fractions
import functools
import gzip
import hashlib
import hmac
import html
import http
import http.cookies
import inspect
import io
import ipaddress
import json
import locale
import logging
import operator
import pickle
import queue
import random
import re
import select
import shlex
import statistics
import string
import struct
import sys
import textwrap
import threading
import time
import tomllib
import typing
import urllib.parse
import uuid
import warnings
import xml.etree.ElementTree as ET
import zlib
import zoneinfo

PARSERS = (datetime.datetime.strptime, time.strptime)
"""What CPython imports for these is in a module only if its sources name them."""


def evaluate(text: str) -> str:
    """Returns the representation of an expression's value, or of the exception that it raises."""
    try:
        return repr(eval(text, globals()))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
