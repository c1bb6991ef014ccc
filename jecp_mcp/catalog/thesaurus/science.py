"""Words of science: papers, substances, genes, species, stars, constants, measures."""

from __future__ import annotations

from typing import Final

ALIKE: Final = """
# papers
research study paper literature
scientific science academic
scientist researcher
arxiv paper preprint
pubmed medical
journal paper
journal periodical
publication paper
review+article meta+analysis
peer+reviewed paper
citation reference bibliography cite
doi citation
footnote citation
apa mla chicago harvard citation
bibtex bibliography
references bibliography
thesis paper
experiment lab
laboratory lab
hypothesis theory
# substances
molecule compound chemical substance
formula compound
smiles inchi compound
cas compound
chemistry chemical
reaction reagent
acid base ph
solvent solution
solubility toxicity
toxic poisonous toxicity
poison toxicity
melting boiling
mass weight
density volume
element periodic
isotope radioactive
alloy metal
polymer plastic
crystal structure
admet toxicity
ligand docking
# life
gene dna genetic
genome genomic gene
mutation variant
variant snp
sequence dna
rna dna
chromosome gene
protein amino
enzyme protein
antibody protein
fold folding structure
phylogenetic phylogeny evolution
bacteria microbe
virus viral
cell tissue
organism species
biodiversity species
habitat species
sighting observation
observe sighting
wildlife animals
endangered species
taxonomy species
mammal reptile amphibian fish animal
insect beetle
botany plant
fossil dinosaur
marine ocean
# sky
star planet astronomy
telescope star
constellation star
asteroid comet meteor
galaxy nebula
orbit satellite
spacecraft rocket launch
iss space+station
ephemeris ephemerides
mars venus jupiter saturn mercury planet
# nature's numbers
physics constant
speed+light constant
planck boltzmann avogadro constant
quantum physics
energy joule
# measures
mile kilometre kilometer
convert+units unit measure
unit measurement
metric imperial
inch inches foot feet
metre meter
kilogram kilo kg
pound lb ounce
litre liter gallon pint
acre hectare
knot mph kmh
psi bar pascal
watt horsepower
byte kilobyte gigabyte
celsius kelvin
cup tablespoon teaspoon
"""

IMPLIED: Final = """
# papers
scientific articles, studies, paper, what science, scholar, google scholar, research on > paper research
researchers found, researchers say, academic articles, publications on, state of research > paper research
peer reviewed, literature on, latest research > paper research
cite, quote source, list of sources, sources list, reference list, list of references > citation reference format
references right, footnotes, zotero, endnote, mendeley, apa style, mla style > citation reference format
harvard style, cite this, works cited > citation reference format
# substances
molecular weight, molar mass, melting point, boiling point, structural formula, chemical formula > compound chemical
chemical, chemical properties, caffeine, ethanol, cas number, pubchem, what substance > compound chemical
which substance > compound chemical
is it poisonous, how poisonous, poisonous molecule, how toxic, toxic is, harmful molecule > toxicity prediction
dissolves, soluble in water, drug candidate, smiles toxic, dangerous substance > toxicity prediction
# life
compare dna, dna similar, compare genes, compare sequences, related species, blast > sequence alignment
evolutionary tree, family tree of species, two sequences, fasta > sequence alignment
shape of protein, protein shape, 3d protein, protein structure, alphafold, protein look > protein folding structure
amino acid chain, amino acids look > protein folding structure
what gene, which gene, gene does, brca, hereditary, chromosome, mutation, gene responsible > gene genetic
where lives, animals live, been seen, where wolves, where bears, where found animal > species sightings observation
sightings, animals in area, birds in area, inaturalist, where does it live > species sightings observation
species > identify
# sky
see in sky, planets visible, visible tonight, where is mars, where is jupiter, where is venus > star planet position
where is saturn, night sky, bright star, point telescope, stargazing, tonight sky, iss pass > star planet position
iss visible, stars tonight, see mars > star planet position
# nature's numbers
speed of light, gravitational, planck, avogadro, electron mass, mass of electron, mass of proton > physical constant
boltzmann, gas constant, charge of electron, elementary charge, exact value physics > physical constant
# measures
mile kilometer, kilo pound, celsius fahrenheit, inch, liter gallon, how many centimeters, how many feet > unit convert
feet metres, cups grams, ounces grams, square feet, in metres, in inches, kilograms pounds > unit convert
acres hectares > unit convert
how tall > height
"""
