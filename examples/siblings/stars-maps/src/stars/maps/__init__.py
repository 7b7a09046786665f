"""Which stars a constellation has."""

from stars.core import Star

CONSTELLATIONS = {
    "Lyra": [
        Star("Sulafat", 3.26),
        Star("Vega", 0.03),
        Star("Sheliak", 3.52),
        Star("Delta2 Lyrae", 4.22),
    ],
    "Orion": [Star("Betelgeuse", 0.5), Star("Rigel", 0.13), Star("Bellatrix", 1.64)],
}
