"""The parameters of the node `translation`, each declared once."""

from __future__ import annotations

from dataclasses import dataclass

from asymfusion_ros.ros.common_settings import CommonSettings, configuration_file, missing_file
from asymfusion_ros.settings import setting


@dataclass
class TranslationSettings(CommonSettings):
    """The values of the parameters of the node ``translation``; see CommonSettings."""

    checkpoint: str = setting(
        "",
        "path of a .safetensors checkpoint of image translation, or of what `asymfusion export` made of one",
        fault=missing_file,
    )


if __name__ == "__main__":
    print(configuration_file(TranslationSettings, "translation"), end="")
