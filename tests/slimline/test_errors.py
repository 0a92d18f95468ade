import pickle
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimline import errors
from slimline.errors import SlimlineError, near_miss

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SlimlineError)]
WORDS = st.text(string.ascii_lowercase, min_size=5, max_size=12)


def test_the_message_says_what_was_found_then_what_was_expected_then_what_to_do():
    assert str(SlimlineError("k = 0", "at least 1", "raise k")) == "Found: k = 0\nExpected: at least 1\nTo do: raise k"


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_comes_back_whole_from_another_process(kind):
    copy = pickle.loads(pickle.dumps(kind("this", "that", "do")))
    assert type(copy) is kind
    assert (copy.found, copy.expected, copy.remedy) == ("this", "that", "do")
    assert str(copy) == str(kind("this", "that", "do"))


def test_every_kind_is_told_from_the_others():
    assert len(KINDS) > 3
    assert not [(a, b) for a in KINDS for b in KINDS if issubclass(a, b) and b not in (a, SlimlineError)]


@given(WORDS, st.data())
def test_a_word_with_a_letter_missing_is_recognized(word, data):
    index = data.draw(st.integers(0, len(word) - 1))
    assert near_miss(word[:index] + word[index + 1 :], [word, "0123456789"]) == f" Did you mean {word!r}?"


@given(st.sets(st.text("ab", min_size=4, max_size=6), min_size=2), st.text("ab", min_size=5, max_size=5), st.randoms())
def test_the_hint_does_not_depend_on_the_order_of_the_known_words(known, word, random):
    shuffled = sorted(known)
    random.shuffle(shuffled)
    assert near_miss(word, shuffled) == near_miss(word, sorted(known))


@pytest.mark.parametrize(("word", "known"), [("accuracy", ["loss", "size"]), ("", ["loss"]), ("loss", [])])
def test_nothing_is_suggested_when_nothing_is_alike(word, known):
    assert near_miss(word, known) == ""


def test_the_nearest_of_several_is_suggested():
    assert near_miss("int_8", ["int8", "int16x8", "float16"]) == " Did you mean 'int8'?"
