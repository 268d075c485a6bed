"""Vocabulary: words that speak of how a picture is made or feels, not of what it shows.

Belongs here: the patterns alone.  Ordinary content stays out of them: a dark hallway, a blue car, a black and white
dog, an old-style lamp or a vintage car is something to be seen.
"""

import re


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(patterns) + r")\b", re.IGNORECASE)


STYLE = {
    "style": _any(
        r"cinematic\w*|cinematograph\w+|filmic|noir|styli[sz]ed|stylistic\w*|aesthetic\w*|painterly|artistic\w*",
        r"(?:visual|film|photographic|directorial|signature|distinctive) style",
        r"(?:in the |the )style of|reminiscent of|film grain|grainy|bokeh|chiaroscuro|photorealistic|hyper-?realistic",
        r"(?:vintage|retro|nostalgic) (?:look|feel|vibe)|post-?process\w+|masterpiece|high[- ]quality",
        r"black[- ]and[- ]white (?:photo\w*|image|picture|film|still|shot|scene|footage)|monochrom\w+|sepia",
    ),
    "mood": _any(
        r"mood|moods|moody|atmospher\w+|ambian?ce|ambien[ct]e|vibe|vibes|evok\w+|evocative",
        r"(?:a |the )?(?:sense|feeling|feel|air|tone) of \w+",
        r"eerie\w*|ominous\w*|foreboding|melanchol\w+|nostalg\w+|somber|sombre|dream-?like|dreamy|ethereal|whimsical",
        r"surreal|serene|serenity|tranquil\w*|dramatic\w*|haunting\w*|suspense\w*",
    ),
    "palette": _any(
        r"colou?r (?:palette|scheme|grading|grade|tones?|temperature)s?|palettes?",
        r"(?:muted|vivid|vibrant|desaturated|saturated|pastel|earthy?|neutral) (?:colou?rs?|tones?|hues?|shades?)",
        r"(?:warm|cool|cold)[- ](?:tones?|toned|hues?|colou?rs)",
        r"(?:dark|golden|blue|teal|orange)[- ](?:tones|toned|hues)",
        r"desaturated|oversaturated|(?:high|low|strong|stark)[- ]contrast",
    ),
    "lighting": _any(
        r"(?:dramatic|moody|soft|warm|cool|harsh|diffused?|low-key|high-key|natural|atmospheric|cinematic|stark|subdued)"
        r" (?:lighting|illumination)",
        r"(?:low|high)-key|rim[- ]?light\w*|volumetric|lens flares?|golden[- ]hour",
    ),
}
"""By topic.  These always count: whatever a director's file asks for, the trigger must own them."""

OMITTED = {
    "framing": _any(
        r"(?:extreme )?(?:wide|medium|long|full|establishing|tracking|close)[- ]?(?:up )?shots?|close-?ups?",
        r"compositions?|framing|centred in the frame|centered in the frame|rule of thirds|(?:low|high|dutch) angle",
    ),
    "symmetry": _any(r"a?symmetr\w+|(?:perfectly|precisely) (?:centred|centered|balanced)"),
    "shot size": _any(r"(?:extreme )?(?:wide|medium|long|full|establishing|close)[- ]?(?:up )?shots?|close-?ups?"),
    "camera angle": _any(r"(?:low|high|dutch|camera|eye-level|overhead)[- ]angles?|bird's[- ]eye view|aerial shots?"),
    "time of day": _any(r"at (?:night|dusk|dawn|noon|sunset|sunrise)|by (?:day|night)|daytime|night-?time"),
}
"""By what a director's file may list under `omit`; these count only where it does."""
