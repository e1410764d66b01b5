"""Messages for people: one line, whatever they quote."""

import pickle

from asymfusion_ros.errors import LONGEST, ConfigError, UserError


def test_a_message_is_one_line_that_prints():
    error = ConfigError("recipe: unknown setting warm\x01p\n\x1b[31m; see the list")
    assert str(error) == "recipe: unknown setting warm?p ?[31m; see the list"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(UserError("caf\u00e9 \u2192 fine")) == "caf\u00e9 \u2192 fine"


def test_a_value_as_long_as_a_file_leaves_the_advice():
    text = str(UserError(f"void is {'9' * 100_000}; it is a value of 8-bit labels, 0 to 255"))
    assert len(text) <= LONGEST and text.startswith("void is 999") and text.endswith("labels, 0 to 255")
