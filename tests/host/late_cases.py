"""Expressions that mean in the module what they mean on a desktop: most of them import something when they are evaluated."""

_CODECS = """
ascii base64_codec big5 big5hkscs charmap cp037 cp1006 cp1026 cp1125 cp1140 cp1250 cp1251 cp1252 cp1253 cp1254
cp1255 cp1256 cp1257 cp1258 cp273 cp424 cp437 cp500 cp720 cp737 cp775 cp850 cp852 cp855 cp856 cp857 cp858
cp860 cp861 cp862 cp863 cp864 cp865 cp866 cp869 cp874 cp875 cp932 cp949 cp950 euc_jis_2004 euc_jisx0213 euc_jp
euc_kr gb18030 gb2312 gbk hex_codec hp_roman8 hz idna iso2022_jp iso2022_jp_1 iso2022_jp_2 iso2022_jp_2004
iso2022_jp_3 iso2022_jp_ext iso2022_kr iso8859_1 iso8859_10 iso8859_11 iso8859_13 iso8859_14 iso8859_15
iso8859_16 iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9 johab koi8_r koi8_t
koi8_u kz1048 latin_1 mac_arabic mac_croatian mac_cyrillic mac_farsi mac_greek mac_iceland mac_latin2
mac_roman mac_romanian mac_turkish palmos ptcp154 punycode quopri_codec raw_unicode_escape rot_13 shift_jis
shift_jis_2004 shift_jisx0213 tis_620 undefined unicode_escape utf_16 utf_16_be utf_16_le utf_32 utf_32_be
utf_32_le utf_7 utf_8 utf_8_sig uu_codec zlib_codec
"""
CODECS = tuple(_CODECS.split())
"""The codecs of a desktop, but for `mbcs` and `oem`, which are Windows', and `bz2_codec`, whose library is not there."""

EXPRESSIONS = (
    # time
    'datetime.datetime.strptime("2024-01-02 03:04:05", "%Y-%m-%d %H:%M:%S")',
    'datetime.datetime.strptime("12 Mar 2024 +0130", "%d %b %Y %z").utcoffset()',
    'tuple(time.strptime("30 Nov 00", "%d %b %y"))',
    'datetime.date(2024, 2, 29).strftime("%A %d %B %j")',
    'datetime.datetime.fromisoformat("2024-01-02T03:04:05+00:00").timestamp()',
    "pickle.loads(pickle.dumps(datetime.datetime(2024, 1, 2)))",
    'email.utils.parsedate_to_datetime("Mon, 20 Nov 1995 19:12:08 -0500")',
    "email.utils.formatdate(0)",
    "calendar.month(2024, 2)",
    # text
    '"bücher.de".encode("idna"), b"xn--bcher-kva.de".decode("idna")',
    "eval(r\"'\\N{GREEK SMALL LETTER ALPHA}'\")",
    '"Grüße".encode("ascii", "namereplace")',
    'html.unescape("&eacute;&#x20ac;")',
    'string.Template("$a-$b").substitute(a=1, b=2)',
    'textwrap.fill("a b c d e f", 5)',
    'difflib.get_close_matches("appel", ["ape", "apple", "peach"])',
    "shlex.split(\"a 'b c' d\")",
    're.sub(r"(?P<x>\\w+)", r"<\\g<x>>", "a b")',
    "pickle.loads(pickle.dumps(re.compile('a+')))",
    'urllib.parse.urlsplit("http://user@[::1]:8080/p?q=1#f").hostname',
    'urllib.parse.quote("/ä b"), urllib.parse.parse_qs("a=1&a=2")',
    'csv.Sniffer().sniff("a;b;c\\n1;2;3\\n").delimiter',
    'list(csv.DictReader(["a,b", "1,2"]))',
    'locale.format_string("%d %.2f", (1234567, 1.5), grouping=True), locale.atof("1.5"), locale.normalize("de_DE")',
    # numbers
    "(sys.set_int_max_str_digits(0), len(str(3**40000)), int('7' * 20000) % 1000003, sys.set_int_max_str_digits(4300))[1:3]",
    "divmod(7**20000, 3**9000)[1] % 1000003",
    'decimal.Decimal("1.15").quantize(decimal.Decimal("0.1")), format(decimal.Decimal("-0.04"), "z.1f")',
    "pickle.loads(pickle.dumps(decimal.Decimal('1.5')))",
    'fractions.Fraction("1/3") + fractions.Fraction(0.5)',
    "statistics.mean([1, 2, 4]), statistics.quantiles([1, 2, 3, 4]), statistics.NormalDist(1, 2) + 1",
    "statistics.linear_regression([1, 2, 3], [2, 4, 7])",
    "random.Random(1).sample(range(100), 5)",
    # hashes and encodings of data
    'uuid.uuid5(uuid.NAMESPACE_DNS, "example.com"), uuid.uuid3(uuid.NAMESPACE_DNS, "example.com")',
    'hashlib.sha256(b"x").hexdigest(), hashlib.new("sha3_256", b"x").hexdigest(), hashlib.blake2b(b"x").hexdigest()',
    'hmac.new(b"k", b"m", "sha256").hexdigest()',
    'base64.b85decode(base64.b85encode(b"abc")), zlib.decompress(zlib.compress(b"x" * 100))',
    'gzip.decompress(gzip.compress(b"x" * 100))',
    'json.loads("[1 2]")',
    "json.dumps({'a': [1, None]}, indent=2)",
    'tomllib.loads("a = 1979-05-27T07:32:00Z")',
    'ET.fromstring("<a><b c=\'1\'/></a>").find("b[@c]").attrib, ET.tostring(ET.Element("x"))',
    'copy.deepcopy(ET.fromstring("<a><b/></a>"))[0].tag',
    # mail and HTTP
    'email.message_from_string("Subject: =?utf-8?q?=C3=A4?=\\n\\nbody")["subject"]',
    "(lambda m: (m.set_content('ä'), m.as_string())[1])(email.message.EmailMessage())",
    'http.cookies.SimpleCookie("a=b; Path=/")["a"].value, http.HTTPStatus(404).phrase',
    # objects
    "pickle.loads(pickle.dumps(array.array('i', [1, 2]))), pickle.loads(pickle.dumps(operator.methodcaller('x'))).__reduce__()[1]",
    "memoryview(array.array('d', [1.0])) == memoryview(array.array('f', [1.0]))",
    "copy.copy(collections.UserDict(a=1)), collections.Counter('abca').most_common(1)",
    "dataclasses.asdict(dataclasses.make_dataclass('D', [('x', int)])(3))",
    "inspect.signature(lambda a, *, b=1: 0), typing.get_type_hints(dataclasses.make_dataclass('D', [('x', 'int')]))",
    "ast.unparse(ast.parse('a+b*c')), ast.literal_eval('{1: [2]}')",
    "functools.singledispatch(lambda x: 1).register(int, lambda x: 2)(3), enum.IntFlag('F', 'A B')(3).name",
    "(lambda c: [c.__enter__(), warnings.simplefilter('always'), warnings.warn('w'), c.__exit__()][1:])"
    "(warnings.catch_warnings(record=True))",
    "ipaddress.ip_address('::1').exploded",
    "queue.Queue().empty(), queue.Queue().get_nowait()",
    "threading.Lock().acquire(), threading.RLock().acquire(timeout=1), threading.Lock().acquire(False)",
    "threading.Event().is_set(), time.sleep(0), time.sleep(0.0), time.sleep(False)",
    "time.sleep(-1)",
    "time.sleep(-0.5)",
)
