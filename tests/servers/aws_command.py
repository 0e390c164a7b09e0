"""The command line of AWS, as far as a page shows it: a call of the SDK, whose model says what its words may be.

Each option is a parameter of the call in small letters with dashes; a list takes several words, and a structure the
shorthand `Key=…,Value=…` (docs.aws.amazon.com/cli, "Using shorthand syntax"). What the model does not know is refused.
The AWS CLI 1.45 itself takes the commands of `docs/deploy/aws.md` against moto.
"""

import shlex
from collections import defaultdict
from typing import Any

from botocore import xform_name


async def carry_out(command: str, client: Any) -> Any:
    """Make the call that a command such as `aws elbv2 add-tags …` stands for; return its answer. `client` is one of
    that service. Raises KeyError for an operation or an option that there is not."""
    aws, service, operation, *words = shlex.split(command.replace("\\\n", " "))
    assert (aws, service) == ("aws", client.meta.service_model.service_name), command
    method = operation.replace("-", "_")
    shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method]).input_shape
    options = {f"--{xform_name(name, '-')}": (name, part) for name, part in shape.members.items()}
    given = defaultdict[str, list[str]](list)
    for word in words:
        if word.startswith("--"):
            name = word
            given[name] = []
        else:
            given[name].append(word)
    asked = {options[name][0]: _value(options[name][1], values) for name, values in given.items()}
    return await getattr(client, method)(**asked)


def _value(shape: Any, words: list[str]) -> Any:
    if shape.type_name == "list":
        return [_value(shape.member, [word]) for word in words]
    (word,) = words
    if shape.type_name == "structure":
        return dict(part.split("=", 1) for part in word.split(","))
    return word
