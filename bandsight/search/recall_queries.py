"""Typical text queries for satellite archives, used to measure the recall of text queries.

Text vectors are distributed differently from image vectors, so their recall is measured separately.
"""

_SUBJECTS = (
    "airport", "airplane on an apron", "runway", "hangar", "harbour", "boats in a marina", "container ship",
    "shipyard", "oil tanker at sea", "pier", "lighthouse", "beach", "rocky coast", "lagoon", "coral reef",
    "mangrove forest", "salt marsh", "tidal flat", "estuary", "river delta", "meandering river", "river rapids",
    "dam and reservoir", "canal", "lake", "frozen lake", "pond", "fish farm", "salt ponds", "flooded fields",
    "rice paddies", "irrigated circles", "vineyard", "orchard", "olive grove", "palm plantation", "wheat fields",
    "ploughed soil", "greenhouses", "pasture", "cattle feedlot", "deciduous forest", "conifer forest", "rainforest",
    "clear-cut forest", "burnt forest", "savanna", "shrubland", "peat bog", "tundra", "glacier",
    "snow covered mountains", "sea ice", "iceberg", "volcano crater", "lava field", "sand dunes", "rocky desert",
    "dry river bed", "canyon", "cliff", "open pit mine", "quarry", "landfill", "oil field", "wind turbines",
    "solar farm", "power plant with cooling towers", "substation", "refinery", "storage tanks", "steelworks",
    "warehouses", "dense city centre", "skyscrapers", "suburban houses", "slum", "village", "farmstead",
    "school with a playground", "stadium", "golf course", "tennis courts", "swimming pools", "cemetery", "park",
    "railway station", "rail yard", "motorway junction", "bridge over a river", "roundabout", "parking lot",
    "construction site", "military base", "church", "castle", "archaeological ruins", "smoke of a fire",
    "thin clouds over the sea", "thick clouds and shadows",
)  # fmt: skip
_FORMS = ("{}", "a satellite image of a {}", "show me a place with a {}", "a {} beside a road", "a large {} near water")


def sentences() -> list[str]:
    """Return several hundred sentences, always the same ones."""
    return [form.format(subject) for subject in _SUBJECTS for form in _FORMS]
