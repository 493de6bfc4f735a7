"""Other people's encrypted tokens: Wycheproof, and the examples that the specifications print.

What we do not have, a key for it is refused as it is read: A128KW and its like by themselves,
AES-GCM key wrapping, RSA1_5, PBES2. For those groups a refusal is our right answer to the valid
cases too, as it is for HMAC among the signatures.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tests.vectors.test_wycheproof import (
    Answered,
    accepts,
    groups,
    key_answers,
    signature_answers,
)

from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.jose.base64url import decode
from mintmark.jose.content_encryption import (
    ALL_CONTENT_ENCRYPTIONS,
    ContentEncryption,
    decrypt_content,
    parse_content_encryption,
)
from mintmark.jose.decryption_keys import DecryptionKey, DecryptionKeys
from mintmark.jose.encryption_jwk import write_public_key
from mintmark.jose.errors import AlgorithmRefused, DecryptionFailed, JoseError, KeyRefused
from mintmark.jose.jwe import decrypt, require_nested_jws
from mintmark.jose.jws import parse
from mintmark.jose.key_agreement import agree_with, read_agreement
from mintmark.jose.key_management import (
    ALL_KEY_MANAGEMENTS,
    KeyManagement,
)
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import VerificationKey

NOT_OURS = {"A128KW", "A192KW", "A256KW", "A128GCMKW", "A192GCMKW", "A256GCMKW", "RSA1_5"} | {
    "ECDH-ES+A192KW"
}
THE_ALG_OF_THE_KEY_NAMES_AN_ENC = 132


def opened(token: str, members: dict[str, Any], enc: str | None = None) -> bytes:
    """With this key alone, and all that we have allowed."""
    symmetric = members["kty"] == "oct" and enc is not None and "alg" not in members
    key = DecryptionKey.from_jwk(members, parse_content_encryption(enc) if symmetric else None)
    return decrypt(
        token,
        DecryptionKeys.of(key),
        now=0,
        key_management=ALL_KEY_MANAGEMENTS,
        content_encryption=ALL_CONTENT_ENCRYPTIONS,
    ).plaintext


def answer(case: dict[str, Any], members: dict[str, Any]) -> bytes | None:
    """The plaintext or a refusal; whatever is raised must be ours."""
    token = case["jwe"] if isinstance(case["jwe"], str) else json.dumps(case["jwe"])
    try:
        return opened(token, members, case.get("enc"))
    except JoseError:
        return None


def encryption_answers(vectors: Path) -> Iterator[Answered]:
    for group in groups(vectors, "json_web_encryption_test.json"):
        for case in group["tests"]:
            members = dict(group["private"])
            if case["tcId"] == THE_ALG_OF_THE_KEY_NAMES_AN_ENC:
                del members["alg"]
            ours = case["result"] == "valid" and members.get("alg") not in NOT_OURS
            expected = bytes.fromhex(case["pt"]) if ours else None
            yield Answered(case["tcId"], case["comment"], expected, answer(case, members))


def crypto_answers(vectors: Path) -> Iterator[Answered]:
    for group in groups(vectors, "json_web_crypto_test.json"):
        for case in group["tests"]:
            ours = case["result"] == "valid" and group["comment"] in {"jws_ec", "jws_rsa", "jwe_ec"}
            held = holds(case, group.get("public") or group["private"], group["private"])
            yield Answered(case["tcId"], case["comment"], ours, held)


def test_every_encryption_case_is_answered_as_it_must_be(vectors: Path) -> None:
    """139 cases: 65 are valid, and 38 of those are in a way that we have."""
    answers = list(encryption_answers(vectors))

    assert [answer for answer in answers if answer.wrong] == []
    assert (len(answers), sum(answer.accepted for answer in answers)) == (139, 38)


def test_every_case_of_both_kinds_is_answered_as_it_must_be(vectors: Path) -> None:
    """83 cases, signatures and encryption; HMAC and A256KW are not ours."""
    answers = list(crypto_answers(vectors))

    assert [answer for answer in answers if answer.wrong] == []
    assert len(answers) == 83


def test_all_649_cases_of_all_four_files_are_answered_as_they_must_be(vectors: Path) -> None:
    """Counted twice: what the files hold, and what was answered, each once."""
    files = {
        "json_web_signature_test.json": signature_answers,
        "json_web_encryption_test.json": encryption_answers,
        "json_web_key_test.json": key_answers,
        "json_web_crypto_test.json": crypto_answers,
    }
    held = {(name, case["tcId"]) for name in files
            for group in groups(vectors, name) for case in group["tests"]}  # fmt: skip
    answered = [(name, answer) for name, answers in files.items() for answer in answers(vectors)]

    assert [(name, answer) for name, answer in answered if answer.wrong] == []
    assert {(name, answer.number) for name, answer in answered} == held
    assert len(answered) == len(held) == 649


def holds(case: dict[str, Any], public: dict[str, Any], private: dict[str, Any]) -> bool:
    """Whether the case's token is accepted with its group's key or keys."""
    if "jwe" in case:
        return answer(case, private) is not None
    token = case["jws"] if isinstance(case["jws"], str) else json.dumps(case["jws"])
    published = public if "keys" in public else {"keys": [public]}
    return accepts(token, KeySet.parse(json.dumps(published).encode()))


@pytest.mark.parametrize(
    "file",
    [
        "jwe/5_2.key_encryption_using_rsa-oaep_with_aes-gcm.json",
        "jwe/5_4.key_agreement_with_key_wrapping_using_ecdh-es_and_aes-keywrap_with_aes-gcm.json",
        "jwe/5_5.key_agreement_using_ecdh-es_with_aes-cbc-hmac-sha2.json",
        "jwe/5_6.direct_encryption_using_aes-gcm.json",
        "curve25519/ecdh-es.json",
    ],
)
def test_the_examples_of_rfc_7520_are_opened(vectors: Path, file: str) -> None:
    """RFC 7520 §5.2, RFC 7520 §5.4 to RFC 7520 §5.6, and the same for X25519 (RFC 8037 §3.2)."""
    example: dict[str, Any] = json.loads((vectors / "rfc7520" / file).read_text())

    plaintext = opened(example["output"]["compact"], example["input"]["key"])

    assert plaintext.decode() == example["input"]["plaintext"]


@pytest.mark.parametrize("number", ["5_1", "5_7", "5_8", "5_9"])
def test_the_examples_of_rfc_7520_in_other_ways_are_refused(vectors: Path, number: str) -> None:
    """RFC 7520 §5.1 and RFC 7520 §5.7 to RFC 7520 §5.9: RSA1_5, key wrapping alone, compression."""
    (file,) = (vectors / "rfc7520" / "jwe").glob(f"{number}.*.json")
    example: dict[str, Any] = json.loads(file.read_text())
    members = example["input"]["key"]
    with pytest.raises((AlgorithmRefused, KeyRefused)):
        opened(example["output"]["compact"], members)


def test_the_nested_example_of_rfc_7520_is_opened_and_its_signature_holds(vectors: Path) -> None:
    """RFC 7520 §6: signed, then encrypted."""
    example = json.loads(
        (vectors / "rfc7520" / "6.nesting_signatures_and_encryption.json").read_text()
    )
    decrypted = decrypt(
        example["encrypt"]["output"]["compact"],
        DecryptionKeys.of(DecryptionKey.from_jwk(example["encrypt"]["input"]["key"])),
        now=0,
        key_management=frozenset({KeyManagement.RSA_OAEP}),
        content_encryption=frozenset({ContentEncryption.A128GCM}),
    )
    signer = example["sign"]["input"]["key"]
    public = {name: signer[name] for name in ("kty", "kid", "use", "n", "e")}

    jws = parse(require_nested_jws(decrypted))

    jws.require_signature(KeySet.of(VerificationKey.from_jwk(public)), ALL_ALGORITHMS)
    assert jws.payload.decode() == example["sign"]["input"]["payload"]


KEY_OF_7516 = {
    "kty": "RSA", "e": "AQAB",
    "n": "oahUIoWw0K0usKNuOR6H4wkf4oBUXHTxRvgb48E-BVvxkeDNjbC4he8rUWcJoZmds2h7M70imEVhRU5djINXtqllXI4DFqcI1DgjT9L"
    "ewND8MW2Krf3Spsk_ZkoFnilakGygTwpZ3uesH-PFABNIUYpOiN15dsQRkgr0vEhxN92i2asbOenSZeyaxziK72UwxrrKoExv6kc5twXTq4h"
    "-QChLOln0_mtUZwfsRaMStPs6mS6XrgxnxbWhojf663tuEQueGC-FCMfra36C9knDFGzKsNa7LZK2djYgyD3JR_MB_4NUJW_TqOQtwHYbxev"
    "oJArm-L5StowjzGy-_bq6Gw",
    "d": "kLdtIj6GbDks_ApCSTYQtelcNttlKiOyPzMrXHeI-yk1F7-kpDxY4-WY5NWV5KntaEeXS1j82E375xxhWMHXyvjYecPT9fpwR_M9gV8"
    "n9Hrh2anTpTD93Dt62ypW3yDsJzBnTnrYu1iwWRgBKrEYY46qAZIrA2xAwnm2X7uGR1hghkqDp0Vqj3kbSCz1XyfCs6_LehBwtxHIyh8Ripy"
    "40p24moOAbgxVw3rxT_vlt3UVe4WO3JkJOzlpUf-KTVI2Ptgm-dARxTEtE-id-4OJr0h-K-VFs3VSndVTIznSxfyrj8ILL6MG_Uv8YAu7VIL"
    "SB3lOW085-4qE3DzgrTjgyQ",
    "p": "1r52Xk46c-LsfB5P442p7atdPUrxQSy4mti_tZI3Mgf2EuFVbUoDBvaRQ-SWxkbkmoEzL7JXroSBjSrK3YIQgYdMgyAEPTPjXv_hI2_"
    "1eTSPVZfzL0lffNn03IXqWF5MDFuoUYE0hzb2vhrlN_rKrbfDIwUbTrjjgieRbwC6Cl0",
    "q": "wLb35x7hmQWZsWJmB_vle87ihgZ19S8lBEROLIsZG4ayZVe9Hi9gDVCOBmUDdaDYVTSNx_8Fyw1YYa9XGrGnDew00J28cRUoeBB_jKI"
    "1oma0Orv1T9aXIWxKwd4gvxFImOWr3QRL9KEBRzk2RatUBnmDZJTIAfwTs0g68UZHvtc",
    "dp": "ZK-YwE7diUh0qR1tR7w8WHtolDx3MZ_OTowiFvgfeQ3SiresXjm9gZ5KLhMXvo-uz-KUJWDxS5pFQ_M0evdo1dKiRTjVw_x4NyqyXPM"
    "5nULPkcpU827rnpZzAJKpdhWAgqrXGKAECQH0Xt4taznjnd_zVpAmZZq60WPMBMfKcuE",
    "dq": "Dq0gfgJ1DdFGXiLvQEZnuKEN0UUmsJBxkjydc3j4ZYdBiMRAy86x0vHCjywcMlYYg4yoC4YZa9hNVcsjqA3FeiL19rk8g6Qn29Tt0cj"
    "8qqyFpz9vNDBUfCAiJVeESOjJDZPYHdHY8v1b-o-Z2X5tvLx-TCekf7oxyeKDUqKWjis",
    "qi": "VIMpMYbPf47dT1w_zDUXfPimsSegnMOA1zTaX7aGk_8urY6R8-ZW1FxU7AlWAyLWybqq6t16VFd7hQd0y6flUK4SlOydB61gwanOsXG"
    "OAOv82cHq0E3eL4HrtZkUuKvnPrMnsUUFlfUdybVzxyjz9JF_XyaY14ardLSjf4L_FNY",
}  # fmt: skip


def test_the_first_example_of_rfc_7516_is_opened() -> None:
    """RFC 7516 §A.1."""
    token = (
        "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9k"
        "iMT03JGeipsEdY3mx_etLbbWSrFr05kLzcSr4qKAq7YN7e9jwQRb23nfa6c9d-StnImGyFDbSv04uVuxIp5Zms1gNxKKK2Da14B8S4rz"
        "VRltdYwam_lDp5XnZAYpQdb76FdIKLaVmqgfwX7XWRxv2322i-vDxRfqNzo_tETKzpVLzfiwQyeyPGLBIO56YJ7eObdv0je81860ppam"
        "avo35UgoRdbYaBcoh9QcfylQr66oc6vFWXRcZ_ZT2LawVCWTIy3brGPi6UklfCpIMfIjf7iGdXKHzg.48V1_ALb6US04U3b.5eym8TW_"
        "c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A.XFBoMYUZodetZdvTiFvSkQ"
    )

    opens = opened(token, KEY_OF_7516)

    assert opens == b"The true sign of intelligence is not knowledge but imagination."


CEK_OF_7516 = bytes.fromhex("04d31fc5549dfcfe0b649dfa3faa6ace6b7cd42d6f6b09dbc8b100f08f9c2ccf")
IV_AND_CIPHERTEXT = "AxY8DCtDaGlsbGljb3RoZQ.KDlTtXchhZTGufMYmOYGS4HffxPSUrfmqCHXaI9wOGY"


@pytest.mark.parametrize(
    ("head", "encrypted_key", "tag"),
    [
        pytest.param(
            "eyJhbGciOiJSU0ExXzUiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0",
            "UGhIOguC7IuEvf_NPVaXsGMoLOmwvc1GyqlIKOK1nN94nHPoltGRhWhw7Zx0-kFm1NJn8LE9XShH59_i8J0PH5ZZyNfGy2xGdUL"
            "U7sHNF6Gp2vPLgNZ__deLKxGHZ7PcHALUzoOegEI-8E66jX2E4zyJKx-YxzZIItRzC5hlRirb6Y5Cl_p-ko3YvkkysZIFNPccxR"
            "U7qve1WYPxqbb2Yw8kZqa2rMWI5ng8OtvzlV7elprCbuPhcCdZ6XDP0_F8rkXds2vE4X-ncOIM8hAYHHi29NX0mcKiRaD0-D-lj"
            "QTP-cFPgwCp6X-nZZd9OHBv-B3oWh2TbqmScqXMR4gp_A",
            "9hH0vgRfYgPnAHOd8stkvw",
            id="A.2-RSA1_5",
        ),
        pytest.param(
            "eyJhbGciOiJBMTI4S1ciLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0",
            "6KB707dM9YTIgHtLvtgWQ8mKwboJW3of9locizkDTHzBC2IlrT1oOQ",
            "U0m_YmjN04DJvceFICbCVQ",
            id="A.3-A128KW",
        ),
    ],
)
def test_the_other_examples_of_rfc_7516_are_refused_for_their_alg_alone(
    head: str, encrypted_key: str, tag: str
) -> None:
    """RFC 7516 §A.2, RFC 7516 §A.3: their content is sound, which its key shows."""
    enc = ContentEncryption.A128CBC_HS256
    iv, ciphertext = map(decode, IV_AND_CIPHERTEXT.split("."))
    content = decrypt_content(enc, CEK_OF_7516, iv, ciphertext, decode(tag), head.encode())

    assert content == b"Live long and prosper."
    with pytest.raises(AlgorithmRefused):
        opened(f"{head}.{encrypted_key}.{IV_AND_CIPHERTEXT}.{tag}", KEY_OF_7516)


@pytest.mark.parametrize(
    ("enc", "ciphertext", "tag"),
    [
        pytest.param(
            ContentEncryption.A128CBC_HS256,
            "c80edfa32ddf39d5ef00c0b468834279a2e46a1b8049f792f76bfe54b903a9c9a94ac9b47ad2655c5f10f9aef71427e2"
            "fc6f9b3f399a221489f16362c703233609d45ac69864e3321cf82935ac4096c86e133314c54019e8ca7980dfa4b9cf1b"
            "384c486f3a54c51078158ee5d79de59fbd34d848b3d69550a67646344427ade54b8851ffb598f7f80074b9473c82e2db",
            "652c3fa36b0a7c5b3219fab3a30bc1c4",
            id="B.1",
        ),
        pytest.param(
            ContentEncryption.A192CBC_HS384,
            "ea65da6b59e61edb419be62d19712ae5d303eeb50052d0dfd6697f77224c8edb000d279bdc14c1072654bd30944230c6"
            "57bed4ca0c9f4a8466f22b226d1746214bf8cfc2400add9f5126e479663fc90b3bed787a2f0ffcbf3904be2a641d5c21"
            "05bfe591bae23b1d7449e532eef60a9ac8bb6c6b01d35d49787bcd57ef484927f280adc91ac0c4e79c7b11efc60054e3",
            "8490ac0e58949bfe51875d733f93ac2075168039ccc733d7",
            id="B.2",
        ),
        pytest.param(
            ContentEncryption.A256CBC_HS512,
            "4affaaadb78c31c5da4b1b590d10ffbd3dd8d5d302423526912da037ecbcc7bd822c301dd67c373bccb584ad3e9279c2"
            "e6d12a1374b77f077553df829410446b36ebd97066296ae6427ea75c2e0846a11a09ccf5370dc80bfecbad28c73f09b3"
            "a3b75e662a2594410ae496b2e2e6609e31e6e02cc837f053d21f37ff4f51950bbe2638d09dd7a4930930806d0703b1f6",
            "4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5",
            id="B.3",
        ),
    ],
)
def test_the_cbc_examples_of_rfc_7518_are_opened(
    enc: ContentEncryption, ciphertext: str, tag: str
) -> None:
    """RFC 7518 §B.1 to RFC 7518 §B.3, for RFC 7518 §5.2.3 to RFC 7518 §5.2.5."""
    sealed = bytes.fromhex(ciphertext)
    iv = bytes.fromhex("1af38c2dc2b96ffdd86694092341bc04")
    aad = b"The second principle of Auguste Kerckhoffs"
    key = bytes(range(enc.key_length))

    plaintext = decrypt_content(enc, key, iv, sealed, bytes.fromhex(tag), aad)

    assert plaintext == (
        b"A cipher system must not be required to be secret, and it must be able to fall into the "
        b"hands of the enemy without inconvenience"
    )
    with pytest.raises(DecryptionFailed):
        decrypt_content(enc, key, iv, sealed, bytes.fromhex(tag), aad + b"!")


ALICE = {
    "kty": "EC", "crv": "P-256",
    "x": "gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0",
    "y": "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps",
}  # fmt: skip
BOB = {
    "kty": "EC", "crv": "P-256",
    "x": "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
    "y": "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck",
    "d": "VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw",
}  # fmt: skip


def test_the_agreement_of_rfc_7518_comes_out() -> None:
    """RFC 7518 §C, with the names of the two in the key (RFC 7518 §4.6.1.2, RFC 7518 §4.6.1.3)."""
    names = {"apu": "QWxpY2U", "apv": "Qm9i"}
    bob = DecryptionKey.from_jwk(BOB)
    algorithm, enc = KeyManagement.ECDH_ES, ContentEncryption.A128GCM

    key = bob.open_content_key(algorithm, enc, b"", read_agreement({"epk": ALICE} | names))
    other = bob.open_content_key(algorithm, enc, b"", read_agreement({"epk": ALICE}))

    assert key == decode("VqqN6vgjbSBcIijNcacQGg")
    assert other != key


def test_the_agreement_of_rfc_8037_comes_out() -> None:
    """RFC 8037 §A.6, for X25519 as RFC 8037 §3.2 uses it."""
    bob = X25519PrivateKey.from_private_bytes(
        bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    )
    header = {
        "alg": "ECDH-ES+A128KW", "enc": "A128GCM", "kid": "Bob",
        "epk": {"kty": "OKP", "crv": "X25519", "x": "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo"},
    }  # fmt: skip

    secret = agree_with(bob)(read_agreement(header))

    assert secret.hex() == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert write_public_key(bob.public_key())["x"] == "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"
