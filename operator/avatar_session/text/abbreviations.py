"""Words whose full stop does not end a sentence, of several languages, in lower case without the stop."""

from __future__ import annotations

TITLES = frozenset(
    # English
    "mr mrs ms mx dr prof st rev hon gov sen rep pres gen col maj capt cmdr sgt cpl lt fr sr jr messrs mt ft "
    "vs approx est dept esp cf al viz ca "
    # German
    "hr fr frl bzw vgl evtl ggf inkl exkl zzgl bspw sog dipl ing str geb verh allg bes einschl gegr hl "
    # French
    "mm mme mmes mlle mlles mgr me env éd "
    # Spanish, Portuguese, Italian, Dutch
    "sra srta srtas sres dra dña ud uds vd vds exmo exma sig sigra dott avv bijv dhr mevr mw drs".split()
)
"""Something follows, whatever it is."""

NUMBERED = frozenset(
    "no nos nr nrs n° num núm vol vols fig figs sec sect ch chap art arts abs abb bd tab p pp pg pag pág ed "
    "eq tel ext jan feb mar apr jun jul aug sep sept oct nov dec janv févr juil déc ene abr ago dic okt "
    "dez".split()
)
"""A number follows; without one they are words, as in "No. I won't." """

DOTTED = frozenset(
    "e.g i.e z.b d.h u.a o.ä z.t u.u i.d.r m.e s.o s.u v.a p.ex c.-à-d p.ej e.d n.b c.f o.g d.w.z".split()
)
"""Abbreviations with stops inside after which the sentence always goes on."""

GERMAN_MONTHS = tuple(
    "januar februar märz april mai juni juli august september oktober november dezember jänner".split()
)
"""After a German ordinal, as in "am 3. Mai"."""
